// Rows of records: in columns for people, or separated by tabs and without a header for scripts.

import { toJson, toJsonLine } from '../format/json.ts'
import { escapeText } from '../format/text.ts'
import { io } from './io.ts'
import { type Format, write, writeLine } from './output.ts'
import { paint, type Style } from './terminal.ts'

export interface Column<Row> {
  readonly title: string
  readonly cell: (row: Row) => string | number | null | undefined
  readonly alignRight?: boolean
  /** Rarely needed: in a table only with `-o wide`. */
  readonly wide?: boolean
  /** The width at least, for rows that come one by one after the header. */
  readonly widthMin?: number
  /** The end says as much as the beginning: of a URL, the port. The middle is left out where there is no space. */
  readonly keepsEnd?: boolean
}

const COLUMN_GAP = 2
const ABSENT = '-'
const ROWS_AT_ONCE = 500

export const isTable = (format: Format): boolean => format === 'table' || format === 'wide'

/**
 * Prints in slices, so that the first rows appear at once. On a terminal the widest columns of a `table` are shortened
 * until a row fits into a line. If that is not enough, the last columns are left out, and the header ends with …
 */
export class RowWriter<Row> {
  #columns: readonly Column<Row>[]
  readonly #format: Format
  readonly #style: (row: Row) => Style | undefined
  readonly #widths: number[]
  #buffered: Row[] = []
  #hasHeader = false

  constructor(
    columns: readonly Column<Row>[],
    format: Format,
    style: (row: Row) => Style | undefined = () => undefined,
  ) {
    this.#columns = format === 'table' ? columns.filter(({ wide }) => wide !== true) : columns
    this.#format = format
    this.#style = style
    this.#widths = this.#columns.map(({ title, widthMin = 0 }) => Math.max(title.length, widthMin))
  }

  async add(row: Row): Promise<void> {
    this.#buffered.push(row)
    if (this.#buffered.length >= ROWS_AT_ONCE) await this.end()
  }

  /** Prints the buffered rows; if there was no row, the header. */
  async end(): Promise<void> {
    const rows = this.#buffered
    this.#buffered = []
    const cells = rows.map((row) => this.#columns.map((column) => cellText(column.cell(row))))
    if (!isTable(this.#format)) {
      await write(cells.map((row) => `${row.join('\t')}\n`).join(''))
      return
    }
    const { displayWidth, fitColumns, fill, columnsThatFit, LEFT_OUT } = await import(
      '../format/column-widths.ts'
    )
    for (const row of cells) {
      row.forEach((cell, at) => {
        this.#widths[at] = Math.max(this.#widths[at] ?? 0, displayWidth(cell))
      })
    }
    const lineMax = this.#format === 'table' ? terminalColumns() : Number.POSITIVE_INFINITY
    const all = this.#columns.length
    if (!this.#hasHeader)
      this.#columns = this.#columns.slice(0, columnsThatFit(this.#widths, COLUMN_GAP, lineMax))
    const widths = fitColumns(this.#widths.slice(0, this.#columns.length), COLUMN_GAP, lineMax)
    const formatRow = (row: readonly string[]): string =>
      this.#columns
        .map((column, at) => fill(row[at] ?? '', widths[at] ?? 0, column))
        .join(' '.repeat(COLUMN_GAP))
        .trimEnd()
    const lines = rows.map((row, at) => {
      const line = formatRow(cells[at] ?? [])
      const style = this.#style(row)
      return style === undefined ? line : paint(style, line)
    })
    if (!this.#hasHeader) {
      const header = formatRow(this.#columns.map((column) => column.title))
      lines.unshift(paint('bold', this.#columns.length < all ? header + LEFT_OUT : header))
    }
    this.#hasHeader = true
    await write(lines.map((line) => `${line}\n`).join(''))
  }
}

export async function printTable<Row>(
  columns: readonly Column<Row>[],
  format: Format,
  rows: AsyncIterable<Row> | Iterable<Row>,
  style?: (row: Row) => Style | undefined,
): Promise<void> {
  const table = new RowWriter(columns, format, style)
  for await (const row of rows) await table.add(row)
  await table.end()
}

/** Prints a list in any format: in JSON as one array, or an object on each line. */
export async function printList<Row>(
  format: Format,
  rows: AsyncIterable<Row> | Iterable<Row>,
  rowJson: (row: Row) => object,
  columns: readonly Column<Row>[],
  style?: (row: Row) => Style | undefined,
): Promise<void> {
  if (format === 'ndjson') for await (const row of rows) await writeLine(toJsonLine(rowJson(row)))
  else if (format !== 'json') await printTable(columns, format, rows, style)
  else {
    const all: object[] = []
    for await (const row of rows) all.push(rowJson(row))
    await writeLine(toJson(all))
  }
}

/** The width of a terminal; elsewhere lines have any length. */
const terminalColumns = (): number => (io().stdout.isTTY && io().stdout.columns) || Number.POSITIVE_INFINITY

function cellText(value: string | number | null | undefined): string {
  return value === null || value === undefined || value === '' ? ABSENT : escapeText(String(value))
}
