// A long text is shown step by step.

/** Characters that one step shows at most. */
const CHARACTERS_MAX = 32_768
/** Lines, and characters which are shown as escapes: each is an element of the page. */
const ELEMENTS_MAX = 1_000
const ELEMENT = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu

/** The end of so many steps from the beginning of the text. */
export function findStepsEnd(text: string, steps: number): number {
  let end = 0
  for (let step = 0; step < steps && end < text.length; step++) end = findStepEnd(text, end)
  return end
}

/** The end of the step that begins at `from`. */
function findStepEnd(text: string, from: number): number {
  const rest = text.slice(from, from + CHARACTERS_MAX)
  let elements = 0
  for (const { 0: char, index } of rest.matchAll(ELEMENT))
    if (++elements === ELEMENTS_MAX) return from + index + char.length
  const end = from + rest.length
  // The second half of a character stays with the first one.
  return end < text.length && /[\ud800-\udbff]$/.test(rest) ? end - 1 : end
}
