// Where it starts: styles, then what the service sent along, then the application.

import '../../assets/app.css';
import './app.css';

import { render } from 'preact';
import { App } from './app';
import { takeSentData } from './store';

takeSentData(document);
render(<App />, document.getElementById('app') ?? document.body);
