// Connections without the token, which come, go and show it in any order: none ends but the oldest of too many.

import { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { UnidentifiedConnections } from '../../src/local/unidentified-connections.ts'
import { runs } from '../runs.ts'

class Connection extends EventEmitter {
  isOpen = true
  isKnown = false

  destroy(): void {
    this.isOpen = false
    this.emit('close')
  }
}

test('those that have ended, or are known, take no place', () => {
  const step = fc.oneof(
    { weight: 3, arbitrary: fc.constant('open' as const) },
    { weight: 2, arbitrary: fc.record({ close: fc.nat(20) }) },
    { weight: 1, arbitrary: fc.record({ identify: fc.nat(20) }) },
  )
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 4 }), fc.array(step, { maxLength: 60 }), (max, steps) => {
      const connections = new UnidentifiedConnections(max)
      /** The oldest first. */
      let open: Connection[] = []
      const isUnidentified = ({ isKnown }: Connection): boolean => !isKnown
      for (const each of steps) {
        if (each === 'open') {
          const next = new Connection()
          open.push(next)
          connections.add(next as unknown as Socket)
          const unidentified = open.filter(isUnidentified)
          if (unidentified.length > max) expect(unidentified[0]?.isOpen).toBe(false)
          open = open.filter((one) => one !== (unidentified.length > max ? unidentified[0] : undefined))
        } else if ('close' in each) {
          open.splice(each.close, 1)[0]?.destroy()
        } else {
          const one = open[each.identify]
          if (one === undefined) continue
          one.isKnown = true
          connections.identify(one as unknown as Socket)
        }
        expect(open.filter(({ isOpen }) => !isOpen)).toEqual([])
      }
    }),
    { numRuns: runs(300) },
  )
})
