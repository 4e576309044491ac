// The `Buffer` of the lab's worker returns what that of Node returns.

import fc from 'fast-check'
import { expect, it } from 'vitest'
import { runs } from '../../runs.ts'

const ofNode = globalThis.Buffer
await import('../../../web/src/lab/node/buffer.ts')
const ofPage = globalThis.Buffer
globalThis.Buffer = ofNode

const bytes = fc.uint8Array({ maxLength: 5 })

it('compares, joins and shows bytes as that of Node', () => {
  fc.assert(
    fc.property(bytes, bytes, fc.nat({ max: 5 }), (a, b, from) => {
      expect(ofPage.compare(a, b)).toBe(ofNode.compare(a, b))
      const whole = ofNode.concat([a, b])
      expect([...ofPage.concat([a, b])]).toEqual([...whole])
      const at = Math.min(from, whole.length)
      for (const encoding of ['latin1', 'hex'] as const) {
        expect(ofPage.from(a).toString(encoding)).toBe(ofNode.from(a).toString(encoding))
        expect(ofPage.from(whole.buffer, whole.byteOffset + at, whole.length - at).toString(encoding)).toBe(
          whole.subarray(at).toString(encoding),
        )
      }
    }),
    { numRuns: runs(200) },
  )
  expect([...ofPage.alloc(3)]).toEqual([0, 0, 0])
})

it('refuses an encoding that the page has no code for', () => {
  expect(() => ofPage.from(Uint8Array.of(1)).toString('base64')).toThrow('no text as base64 in a page')
})
