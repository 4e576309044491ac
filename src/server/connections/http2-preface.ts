// The bytes with which each connection of HTTP/2 begins (RFC 9113 §3.4). No request of HTTP/1.1 begins with them.

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')

/** Whether the first bytes of a connection begin with the preface, or are its beginning. */
export function findPreface(bytes: Buffer): 'whole' | 'part' | undefined {
  const length = Math.min(bytes.length, PREFACE.length)
  if (length === 0 || bytes.compare(PREFACE, 0, length, 0, length) !== 0) return undefined
  return length === PREFACE.length ? 'whole' : 'part'
}
