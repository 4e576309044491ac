import fc from 'fast-check'
import { expect, test } from 'vitest'
import { FairQueue } from '../../../src/server/auth/fair-queue.ts'
import { runs } from '../../runs.ts'

const step = fc.record({ network: fc.constantFrom('a', 'b', 'c'), adds: fc.integer({ min: 0, max: 12 }) })

test('each item is taken, dropped or refused, once; afterwards there is room for as many as at first', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 8 }), fc.array(step, { maxLength: 30 }), (itemsMax, steps) => {
      const dropped: number[] = []
      const queue = new FairQueue<number>(itemsMax, (item) => dropped.push(item))
      const ended: number[] = []
      let count = 0
      for (const { network, adds } of steps) {
        for (let at = 0; at < adds; at++) if (!queue.add(network, ++count)) ended.push(count)
        const taken = adds % 3 === 0 ? queue.take() : undefined
        if (taken !== undefined) ended.push(taken)
        expect(queue.size).toBe(count - ended.length - dropped.length)
        expect(queue.size).toBeLessThanOrEqual(itemsMax)
      }
      for (let item = queue.take(); item !== undefined; item = queue.take()) ended.push(item)
      const all = Array.from({ length: count }, (_, at) => at + 1)
      expect([...ended, ...dropped].sort((one, other) => one - other)).toEqual(all)
      expect(queue.size).toBe(0)
      for (let at = 0; at < itemsMax; at++) expect(queue.add('d', at)).toBe(true)
      expect(queue.add('d', -1)).toBe(false)
    }),
    { numRuns: runs(100) },
  )
})
