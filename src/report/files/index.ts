/** The list of report files that `--report FORMAT=FILE` can write. */
import { html } from './html.ts';
import { json } from './json.ts';
import { junit } from './junit.ts';
import { markdown } from './markdown.ts';
import type { ReportFormat } from './run-report.ts';
import { tap } from './tap.ts';

export const reportFormats: readonly ReportFormat[] = [junit, tap, json, markdown, html];
