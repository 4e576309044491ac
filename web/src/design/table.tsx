// A table of rows. Numbers stand right, with equal digits. In a narrow frame each row is a card of its fields. Between
// that and its whole width, the table scrolls within its frame, and a shadow says that there is more.

import type { ComponentChildren } from 'preact'
import './table.css'

export interface TableColumn<Row> {
  readonly head: ComponentChildren
  readonly cell: (row: Row) => ComponentChildren
  /** Right-aligned. */
  readonly isNumber?: boolean
  /** It takes what room is left. */
  readonly isWide?: boolean
}

interface TableProps<Row> {
  /** The name of the table, for screen readers. */
  readonly caption: string
  readonly columns: readonly TableColumn<Row>[]
  readonly rows: readonly Row[]
  readonly rowKey: (row: Row) => string
  readonly isChosen?: (row: Row) => boolean
}

export function Table<Row>({ caption, columns, rows, rowKey, isChosen }: TableProps<Row>) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: the keyboard scrolls it, where it is wider than the screen.
    <section class="table-frame" tabIndex={0} aria-label={caption}>
      <table class="table">
        <caption class="visually-hidden">{caption}</caption>
        <thead>
          <tr>
            {columns.map(({ head, isNumber, isWide }, at) => (
              <th key={at} scope="col" class={cellClass(isNumber, isWide)}>
                {head}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={rowKey(row)} {...(isChosen?.(row) ? { 'aria-current': 'true' as const } : undefined)}>
              {columns.map(({ head, cell, isNumber, isWide }, at) => (
                <td key={at} class={cellClass(isNumber, isWide)} data-head={headText(head)}>
                  {cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  )
}

/** The name of a field in a card. A head that is for screen readers only has none. */
const headText = (head: ComponentChildren): string | undefined =>
  typeof head === 'string' ? head : undefined

const cellClass = (isNumber = false, isWide = false): string =>
  `${isNumber ? 'number' : ''}${isWide ? ' wide' : ''}`
