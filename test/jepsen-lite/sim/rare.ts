import { expect } from 'vitest'
import { PROBES, type Search } from '../../../jepsen-lite/sim/index.ts'

/** Nearly every kind of fault has taken effect, and most rare paths were reached. */
export function expectRare({ probeCoverage: { faults, probes } }: Search): void {
  const unfelt = Object.keys(faults).filter((kind) => faults[kind] === 0)
  expect(unfelt.length, unfelt.join()).toBeLessThan(8)
  const missed = PROBES.filter((probe) => probes[probe] === 0)
  expect(missed.length, missed.join()).toBeLessThan(PROBES.length / 4)
}
