const OMITTED = ' […] '

/**
 * The text, or its beginning and its end: a text that quotes what a client has sent may be as long as a request, and
 * its escapes several times as long.
 */
export function shortened(text: string, charsMax: number): string {
  if (text.length <= charsMax) return text
  const half = Math.floor((charsMax - OMITTED.length) / 2)
  return `${text.slice(0, half)}${OMITTED}${text.slice(-half)}`.toWellFormed()
}
