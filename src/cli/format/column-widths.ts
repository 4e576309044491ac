// How wide a text is on a terminal, and how the columns of a table share its width. Chinese and Japanese characters and
// emoji take two columns each, combining characters none.

import stringWidth from 'string-width'

export const displayWidth = (text: string): number => stringWidth(text)

/** A column that is shortened keeps at least this much. */
const WIDTH_MIN = 8

/** How many of the first columns fit into a line if they are as narrow as possible, and a mark of those left out. */
export function columnsThatFit(widths: readonly number[], gap: number, lineMax: number): number {
  const narrow = widths.map((width) => Math.min(width, WIDTH_MIN))
  const lineWidth = (count: number): number =>
    narrow.slice(0, count).reduce((sum, width) => sum + width + gap, -gap) +
    (count < narrow.length ? LEFT_OUT.length : 0)
  let count = widths.length
  while (count > 1 && lineWidth(count) > lineMax) count--
  return count
}

/** Stands behind the header of a table without its last columns. */
export const LEFT_OUT = ' …'

/** Takes from the widest column, and from the next ones, until the line fits. */
export function fitColumns(widths: readonly number[], gap: number, lineMax: number): number[] {
  const fitted = [...widths]
  let over = fitted.reduce((sum, width) => sum + width + gap, -gap) - lineMax
  while (over > 0) {
    const widest = Math.max(...fitted)
    if (widest <= WIDTH_MIN) break
    fitted[fitted.indexOf(widest)] = widest - 1
    over -= 1
  }
  return fitted
}

/** The text with "…" in place of its end, or of its middle, if it is wider than `widthMax`. */
export function shortenText(text: string, widthMax: number, keepsEnd = false): string {
  if (displayWidth(text) <= widthMax) return text
  const characters = Array.from(new Intl.Segmenter().segment(text), ({ segment }) => segment)
  const end = keepsEnd ? takeBeginning(characters.toReversed(), (widthMax - 1) / 2).toReversed() : []
  const start = takeBeginning(characters, widthMax - 1 - displayWidth(end.join('')))
  return `${start.join('')}…${end.join('')}`
}

/** The first characters of a text, as many as fit into a width. */
function takeBeginning(characters: readonly string[], widthMax: number): string[] {
  let width = 0
  const end = characters.findIndex((character) => {
    width += displayWidth(character)
    return width > widthMax
  })
  return characters.slice(0, end < 0 ? characters.length : end)
}

interface FillOptions {
  readonly alignRight?: boolean
  readonly keepsEnd?: boolean
}

/** The text with exactly this width. */
export function fill(text: string, width: number, { alignRight, keepsEnd }: FillOptions = {}): string {
  const shown = shortenText(text, width, keepsEnd)
  const space = ' '.repeat(width - displayWidth(shown))
  return alignRight ? space + shown : shown + space
}
