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
  return `<div class="table"><table><caption>${escapeHtml(caption)}</caption><thead><tr>${head}</tr></thead><tbody>\n${body}\n</tbody></table></div>`
}

function renderCell(cell: Cell): string {
  if (typeof cell === 'number') return `<td class="number">${cell.toLocaleString('en')}</td>`
  return `<td>${typeof cell === 'string' ? escapeHtml(cell) : cell.html}</td>`
}
