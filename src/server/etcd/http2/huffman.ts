// The Huffman code of header fields (RFC 7541, appendix B). It is canonical: codes of one length follow each other in
// the order of their symbols, behind those that are shorter. So the lengths alone determine it.
//
// The decoder is an automaton. Its states are the inner nodes of the tree of codes: the bits since the last symbol. A
// table has the transition of each state by each four bits, which end at most one symbol: the shortest code has five.

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
/** The inner nodes of a binary tree with a leaf for each symbol. */
const STATES = END

/** The child of each state by each bit: another state, or STATES + a symbol. 0: none yet, the root is no child. */
const children = new Uint16Array(2 * STATES)
/** The number of bits of a state, if all of them are ones, as in padding; otherwise PADDING_MAX + 1. */
const padding = new Uint8Array(STATES)
/** A text may end with fewer bits than a byte, all of which are ones: the beginning of the code of the end. */
const PADDING_MAX = 7

for (let length = 1, code = 0, states = 1; length <= LENGTH_MAX; length++) {
  code *= 2
  for (const [symbol, digit] of [...LENGTHS.join('')].entries()) {
    if (Number.parseInt(digit, 36) !== length) continue
    let state = 0
    for (let bit = length - 1; bit > 0; bit--) {
      const at = 2 * state + ((code >>> bit) & 1)
      if (children[at] === 0) {
        const depth = length - bit
        const isPadding = depth <= PADDING_MAX && (code >>> bit) + 1 === 2 ** depth
        padding[states] = isPadding ? depth : PADDING_MAX + 1
        children[at] = states++
      }
      state = children[at] ?? 0
    }
    children[2 * state + (code & 1)] = STATES + symbol
    code++
  }
}

/** Flags of a transition: a symbol ends; it is the end of the string. */
const EMITS = 1 << 16
const ENDS = 1 << 17

/** By state and four bits: the next state (8 bits), the symbol that ends (8 bits), and flags. */
const transitions = new Uint32Array(STATES * 16)
for (let from = 0; from < STATES; from++) {
  for (let bits = 0; bits < 16; bits++) {
    let [state, emitted] = [from, 0]
    for (let bit = 3; bit >= 0; bit--) {
      const child = children[2 * state + ((bits >>> bit) & 1)] ?? 0
      state = child < STATES ? child : 0
      if (child >= STATES) emitted = child === STATES + END ? ENDS : EMITS | ((child - STATES) << 8)
    }
    transitions[from * 16 + bits] = state | emitted
  }
}

/** Bits of the shortest code. */
const LENGTH_MIN = 5

/** The text behind a Huffman code, a character for each byte; undefined: the code is invalid. */
export function decodeHuffman(bytes: Uint8Array, from: number, to: number): string | undefined {
  const text = Buffer.allocUnsafe(Math.floor(((to - from) * 8) / LENGTH_MIN))
  let [length, state] = [0, 0]
  for (let at = from; at < to; at++) {
    const byte = bytes[at] ?? 0
    const high = transitions[state * 16 + (byte >>> 4)] ?? 0
    if ((high & EMITS) !== 0) text[length++] = high >>> 8
    const low = transitions[(high & 0xff) * 16 + (byte & 15)] ?? 0
    if ((low & EMITS) !== 0) text[length++] = low >>> 8
    if (((high | low) & ENDS) !== 0) return undefined
    state = low & 0xff
  }
  return (padding[state] ?? 0) <= PADDING_MAX ? text.toString('latin1', 0, length) : undefined
}
