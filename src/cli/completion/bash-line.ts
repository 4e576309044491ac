// Splits a line into words as bash does, without expanding anything, and gives candidates the form that bash needs.

interface BashLine {
  /** The complete words before the cursor, without their quotes; the first one is the command. */
  readonly words: readonly string[]
  /** The word at the cursor, without its quotes. */
  readonly current: string
  /** The text by which bash replaces the text that it completes. */
  quoted(candidate: string): string
}

/** readline breaks words before these characters, and behind the others (`rl_special_prefixes`). */
const KEPT_BREAKS = '$@'

/**
 * `line` ends at the cursor. `breaks` is COMP_WORDBREAKS: bash completes only the part of the word that follows the
 * last of these characters, such as the colon in `http://127`. While a quote is open, it completes the part that
 * follows the quote.
 */
export function readBashLine(line: string, breaks: string): BashLine {
  const words: string[] = []
  let current = ''
  let begun = false
  let quote = ''
  /** The characters of `current` that stand before the part that bash completes. */
  let kept = 0
  let keptBeforeQuote = 0
  for (let at = 0; at < line.length; at++) {
    const char = line[at] ?? ''
    if (quote !== '' && char === quote) {
      quote = ''
      kept = keptBeforeQuote
    } else if (char === '\\' && quote !== "'") {
      at += 1
      const next = line[at] ?? ''
      current += quote === '"' && !'"\\$`'.includes(next) ? `\\${next}` : next
      begun = true
    } else if (quote !== '') {
      current += char
    } else if (char === "'" || char === '"') {
      quote = char
      begun = true
      keptBeforeQuote = kept
      kept = current.length
    } else if (/\s/.test(char)) {
      if (begun) words.push(current)
      current = ''
      begun = false
      kept = 0
    } else {
      current += char
      begun = true
      if (breaks.includes(char)) kept = current.length - (KEPT_BREAKS.includes(char) ? 1 : 0)
    }
  }
  return { words, current, quoted: (candidate) => escapeInQuotes(quote, candidate.slice(kept)) }
}

/** bash closes an open quote itself. */
function escapeInQuotes(quote: string, text: string): string {
  if (quote === "'") return text.replaceAll("'", `'\\''`)
  if (quote === '"') return text.replace(/["\\$`]/g, '\\$&')
  return text.replace(/[^\p{L}\p{N}_@%+=:,./-]/gu, '\\$&')
}
