// A table of rows. Numbers stand right, with equal digits. On a narrow screen it scrolls within its own frame.

import type { ComponentChildren } from 'preact'
import './table.css'

export interface Column<Row> {
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
  readonly columns: readonly Column<Row>[]
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
              {columns.map(({ cell, isNumber, isWide }, at) => (
                <td key={at} class={cellClass(isNumber, isWide)}>
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

const cellClass = (isNumber = false, isWide = false): string =>
  `${isNumber ? 'number' : ''}${isWide ? ' wide' : ''}`
