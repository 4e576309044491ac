// How wide a text is on a terminal, and how the columns of a table share its width. Chinese and Japanese characters and
// emoji take two columns each, combining characters none.

import stringWidth from 'string-width'

export const widthOf = (text: string): number => stringWidth(text)

/** A column that is shortened keeps at least this much. */
const WIDTH_MIN = 8

/** Takes from the widest column, and from the next ones, until the line fits. */
export function fitting(widths: readonly number[], gap: number, lineMax: number): number[] {
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

/** The beginning of the text, with "…" at the end, if it is wider than `widthMax`. */
export function shortened(text: string, widthMax: number): string {
  if (widthOf(text) <= widthMax) return text
  let start = ''
  let width = 0
  for (const { segment } of new Intl.Segmenter().segment(text)) {
    width += widthOf(segment)
    if (width >= widthMax) break
    start += segment
  }
  return `${start}…`
}

/** The text with exactly this width. */
export function fill(text: string, width: number, alignRight: boolean): string {
  const shown = shortened(text, width)
  const space = ' '.repeat(width - widthOf(shown))
  return alignRight ? space + shown : shown + space
}
