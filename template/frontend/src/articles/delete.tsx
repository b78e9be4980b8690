// Deleting an article, after a question.

import { useLocation } from 'preact-iso';
import { useRef, useState } from 'preact/hooks';
import { Failure } from '../api/client';
import { announce } from '../notice';
import { deleteArticle, type Article } from './api';

export function DeleteButton({ article }: { article: Article }) {
  const { route } = useLocation();
  const dialog = useRef<HTMLDialogElement>(null);
  const [failure, setFailure] = useState<Failure>();
  const [isBusy, setBusy] = useState(false);

  const confirmed = async () => {
    setBusy(true);
    try {
      await deleteArticle(article);
      announce(`“${article.title}” is deleted.`, '/');
      route('/');
    } catch (error) {
      setFailure(error instanceof Failure ? error : new Failure(undefined, error));
      setBusy(false);
    }
  };

  return (
    <>
      <button type="button" class="link" onClick={() => dialog.current?.showModal()}>Delete…</button>
      <dialog ref={dialog} aria-labelledby="delete-question">
        <h2 id="delete-question">Delete “{article.title}”?</h2>
        <p>It cannot be brought back.</p>
        <p role="alert">{failure && reason(failure)}</p>
        <form method="dialog" class="actions">
          <button type="submit" class="quiet">Keep it</button>
          <button type="button" class="danger" disabled={isBusy} onClick={() => void confirmed()}>Delete it</button>
        </form>
      </dialog>
    </>
  );
}

function reason({ message, problem }: Failure): string {
  if (problem?.status === 412) return 'Somebody has changed it since you opened this page. Have another look first.';
  return problem?.detail ?? `${message}.`;
}
