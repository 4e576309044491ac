// Makes text from data safe for a page: keys and values may be any text.

/** Escapes text for an element, or for an attribute in double quotes. */
export function escapeHtml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#39;')
}

/** JSON for a `<script type="application/json">`: it cannot end the element or begin a comment. */
export function embedJson(value: unknown): string {
  return JSON.stringify(value).replaceAll('<', '\\u003c')
}

/** The content of a cell; numbers are right-aligned. `html`: our own HTML, with all text already escaped. */
export type Cell = string | number | { readonly html: string }

/** Returns an empty text for a table without rows. */
export function table(caption: string, heads: readonly string[], rows: readonly (readonly Cell[])[]): string {
  if (rows.length === 0) return ''
  const head = heads.map((text) => `<th scope="col">${escapeHtml(text)}</th>`).join('')
  const body = rows.map((cells) => `<tr>${cells.map(renderCell).join('')}</tr>`).join('\n')
  return `<section class="table-frame" tabindex="0" aria-label="${escapeHtml(caption)}"><table class="table"><caption>${escapeHtml(caption)}</caption><thead><tr>${head}</tr></thead><tbody>\n${body}\n</tbody></table></section>`
}

/** A longer text is a sentence, whose column does not become narrow. */
const WORDS_MAX = 40

function renderCell(cell: Cell): string {
  if (typeof cell === 'number') return `<td class="number">${cell.toLocaleString('en')}</td>`
  if (typeof cell !== 'string') return `<td>${cell.html}</td>`
  return `<td${cell.length > WORDS_MAX ? ' class="sentence"' : ''}>${escapeHtml(cell)}</td>`
}
