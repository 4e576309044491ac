import fc from 'fast-check'
import { expect, test } from 'vitest'
import { joinAdjacent } from '../../src/bytes/index.ts'
import { runs } from '../runs.ts'

test('the same bytes in the same order, in as few arrays as their places allow', () => {
  const memory = [0, 1, 2].map((at) => Uint8Array.from({ length: 64 }, (_, n) => 64 * at + n))
  const part = fc.record({ of: fc.nat(2), from: fc.nat(64), length: fc.nat(20), goesOn: fc.boolean() })
  fc.assert(
    fc.property(fc.array(part, { maxLength: 12 }), (drawn) => {
      const parts: Uint8Array[] = []
      let stretches = 0
      for (const { of, from, length, goesOn } of drawn) {
        const last = parts.at(-1)
        const end = last === undefined ? 0 : last.byteOffset + last.length
        const next =
          goesOn && last !== undefined
            ? new Uint8Array(last.buffer, end, Math.min(length, 64 - end))
            : (memory[of] ?? new Uint8Array()).subarray(from, from + length)
        const isAdjacent = last !== undefined && next.buffer === last.buffer && next.byteOffset === end
        if (!isAdjacent) stretches++
        parts.push(next)
      }
      const joined = joinAdjacent(parts)
      expect(Buffer.concat(joined)).toEqual(Buffer.concat(parts))
      expect(joined).toHaveLength(stretches)
      for (const { buffer } of joined) expect(memory.some((each) => each.buffer === buffer)).toBe(true)
    }),
    { numRuns: runs(100) },
  )
})
