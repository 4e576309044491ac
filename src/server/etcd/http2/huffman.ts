// The Huffman code of header fields (RFC 7541, appendix B). It is canonical: codes of one length follow each other in
// the order of their symbols, behind those that are shorter. So the lengths alone determine it.

/** The length of the code of each symbol in bits, as one digit of base 36. A row has 64 symbols. */
const LENGTHS = [
  'dnsssssssoussussssssssusssssssss6aacd68baa8b8666555666666678f6ca',
  'd67777777777777777777777878djde6f56565666577666567655677777fbeds',
  'kmkkmmmnmnnnnnonoomnonnnnlmnmnnomlkmmnnlnmmolmnnllmlnmnnkmmmnmmn',
  'qqkjmnmpqqqrrqopjlqrrqrollqqsrrrkoklmllnmmppooqnqrqqrrrrrsrrrrrqu',
]

/** The symbol behind the last byte: the end of a string, which no string contains. */
const END = 256
const LENGTH_MAX = 30

/** Symbols in the order of their codes. */
const symbols: number[] = []
/** By length: the end of its codes, and the place of the symbol of a code minus that code. */
const codesEnd: number[] = [0]
const placeOf: number[] = [0]

for (let length = 1, code = 0; length <= LENGTH_MAX; length++) {
  code *= 2
  placeOf[length] = symbols.length - code
  for (const [symbol, digit] of [...LENGTHS.join('')].entries()) {
    if (Number.parseInt(digit, 36) !== length) continue
    symbols.push(symbol)
    code++
  }
  codesEnd[length] = code
}

/** The text behind a Huffman code, a character for each byte; undefined: the code is invalid. */
export function decodeHuffman(bytes: Uint8Array, from: number, to: number): string | undefined {
  let text = ''
  let code = 0
  let length = 0
  for (let at = from; at < to; at++) {
    const byte = bytes[at] ?? 0
    for (let bit = 7; bit >= 0; bit--) {
      code = code * 2 + ((byte >>> bit) & 1)
      length++
      if (code >= (codesEnd[length] ?? 0)) {
        if (length === LENGTH_MAX) return undefined
        continue
      }
      const symbol = symbols[code + (placeOf[length] ?? 0)] ?? END
      if (symbol === END) return undefined
      text += String.fromCharCode(symbol)
      code = 0
      length = 0
    }
  }
  // The rest of the last byte is filled with ones, the beginning of the code of the end.
  return length < 8 && code === 2 ** length - 1 ? text : undefined
}
