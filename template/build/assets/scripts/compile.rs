//! One module: types removed, made small in a release, the specifiers of its imports replaced by placeholders.

use std::path::{Path, PathBuf};

use oxc::allocator::Allocator;
use oxc::ast::ast::{
    Argument, ExportAllDeclaration, ExportFromDeclaration, Expression, ImportDeclaration,
    ImportExpression, NewExpression, StringLiteral,
};
use oxc::ast_visit::{VisitMut, walk_mut};
use oxc::codegen::{Codegen, CodegenOptions, CommentOptions};
use oxc::diagnostics::OxcDiagnostic;
use oxc::minifier::{CompressOptions, MangleOptions, Minifier, MinifierOptions};
use oxc::parser::Parser;
use oxc::semantic::SemanticBuilder;
use oxc::span::SourceType;
use oxc::transformer::{TransformOptions, Transformer};

use super::{Compiled, Import, Kind};
use crate::assets::Mode;
use crate::assets::fault::Fault;

/// Compiles the module at `path`.
///
/// # Errors
/// Each with its line and column.
pub fn compile(path: &str, text: &str, mode: Mode) -> Result<Compiled, Vec<Fault>> {
    let allocator = Allocator::default();
    let is_typescript = path.ends_with("ts");
    let kind = SourceType::mjs().with_typescript(is_typescript);
    let faults = |diagnostics: &mut dyn Iterator<Item = OxcDiagnostic>| {
        let faults: Vec<Fault> = diagnostics.map(|found| fault(path, text, &found)).collect();
        if faults.is_empty() {
            Ok(())
        } else {
            Err(faults)
        }
    };
    let parsed = Parser::new(&allocator, text, kind).parse();
    faults(&mut parsed.diagnostics.into_iter())?;
    let mut program = parsed.program;
    let semantic = SemanticBuilder::new()
        .with_check_syntax_error(true)
        .with_enum_eval(true)
        .build(&program);
    faults(&mut semantic.diagnostics.into_iter())?;
    let mut scoping = Some(semantic.semantic.into_scoping());
    if is_typescript && let Some(types) = scoping.take() {
        let options = TransformOptions::default();
        let transformed = Transformer::new(&allocator, Path::new(path), &options)
            .build_with_scoping(types, &mut program);
        faults(&mut transformed.diagnostics.into_iter())?;
    }
    let mut specifiers = Specifiers {
        allocator: &allocator,
        text,
        imports: Vec::new(),
    };
    specifiers.visit_program(&mut program);
    let imports = specifiers.imports;
    if mode == Mode::Release {
        let options = MinifierOptions {
            mangle: Some(MangleOptions::default()),
            compress: Some(CompressOptions::smallest()),
            ..MinifierOptions::default()
        };
        scoping = Minifier::new(options)
            .minify(&allocator, &mut program)
            .scoping;
    } else {
        scoping = None;
    }
    let printed = Codegen::new()
        .with_options(options(path, mode))
        .with_scoping(scoping)
        .build(&program);
    Ok(Compiled {
        code: printed.code,
        map: printed.map.map(|map| map.to_json_string()),
        imports,
    })
}

fn options(path: &str, mode: Mode) -> CodegenOptions {
    match mode {
        Mode::Development => CodegenOptions {
            source_map_path: Some(PathBuf::from(path)),
            ..CodegenOptions::default()
        },
        Mode::Release => CodegenOptions {
            minify: true,
            comments: CommentOptions::disabled(),
            ..CodegenOptions::default()
        },
    }
}

fn fault(path: &str, text: &str, found: &OxcDiagnostic) -> Fault {
    let place = found.labels.first().map(|label| label.offset() as usize);
    match place {
        Some(offset) => Fault::in_text(path, text, offset, &found.message),
        None => Fault::of_file(path, &found.message),
    }
}

/// Puts a placeholder in the place of every specifier.
struct Specifiers<'a> {
    allocator: &'a Allocator,
    text: &'a str,
    imports: Vec<Import>,
}

impl<'a> Specifiers<'a> {
    fn replace(&mut self, literal: &mut StringLiteral<'a>, kind: Kind) {
        let specifier = literal.value.to_string();
        let placeholder = format!("\u{1}{}\u{1}", self.imports.len());
        let place = Fault::in_text("", self.text, literal.span.start as usize, "");
        literal.value = self.allocator.alloc_str(&placeholder).into();
        literal.raw = None;
        self.imports.push(Import {
            specifier,
            placeholder,
            kind,
            line: place.line,
            column: place.column,
        });
    }
}

impl<'a> VisitMut<'a> for Specifiers<'a> {
    fn visit_import_declaration(&mut self, import: &mut ImportDeclaration<'a>) {
        self.replace(&mut import.source, Kind::Static);
    }

    fn visit_export_all_declaration(&mut self, export: &mut ExportAllDeclaration<'a>) {
        self.replace(&mut export.source, Kind::Static);
    }

    fn visit_export_from_declaration(&mut self, export: &mut ExportFromDeclaration<'a>) {
        self.replace(&mut export.source, Kind::Static);
    }

    fn visit_import_expression(&mut self, import: &mut ImportExpression<'a>) {
        // What is put together at run time is not ours to resolve.
        if let Expression::StringLiteral(literal) = &mut import.source {
            self.replace(literal, Kind::Dynamic);
        }
        walk_mut::walk_import_expression(self, import);
    }

    fn visit_new_expression(&mut self, new: &mut NewExpression<'a>) {
        // `new URL("./x", import.meta.url)`, by which a module says where something beside it is.
        if new.callee.is_specific_id("URL")
            && let [Argument::StringLiteral(literal), base] = &mut new.arguments[..]
            && is_own_address(base)
        {
            self.replace(literal, Kind::Address);
        }
        walk_mut::walk_new_expression(self, new);
    }
}

/// Whether this is `import.meta.url`.
fn is_own_address(argument: &Argument<'_>) -> bool {
    match argument {
        Argument::StaticMemberExpression(member) => {
            member.property.name == "url" && matches!(member.object, Expression::ImportMeta(_))
        }
        _ => false,
    }
}
