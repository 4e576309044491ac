import { expect, test } from 'vitest'
import {
  bridge,
  halves,
  isolated,
  oneWay,
  type PartitionPattern,
  ring,
} from '../../../jepsen-lite/local/partition-shapes.ts'
import { Random } from '../../../jepsen-lite/workload/random.ts'

const names = (count: number): string[] => Array.from({ length: count }, (_, at) => `n${at + 1}`)
const seenBy = ({ cut }: PartitionPattern, all: readonly string[], name: string): string[] =>
  all.filter((other) => !cut(name, other) && !cut(other, name))

test.each([4, 5, 6, 7, 8, 9])('in a ring of %i everyone sees a majority, and no two the same', (count) => {
  const all = names(count)
  const views = all.map((name) => seenBy(ring(all), all, name))
  for (const view of views) expect(view.length).toBeGreaterThan(count / 2)
  expect(new Set(views.map(String)).size).toBe(count)
})

test('across a bridge nobody sees the other side but the one in the middle', () => {
  const all = names(5)
  const shape = bridge(all)
  expect(seenBy(shape, all, 'n1')).toEqual(all)
  expect(seenBy(shape, all, 'n2')).toEqual(['n1', 'n2', 'n3'])
  expect(seenBy(shape, all, 'n5')).toEqual(['n1', 'n4', 'n5'])
})

test('of halves the first is a minority', () => {
  expect(halves(names(5)).groups).toEqual([
    ['n1', 'n2'],
    ['n3', 'n4', 'n5'],
  ])
  expect(halves(names(3)).groups).toEqual([['n1'], ['n2', 'n3']])
})

test('the isolated node and the others do not see each other', () => {
  const all = names(3)
  const shape = isolated(all, 'n2')
  expect(seenBy(shape, all, 'n2')).toEqual(['n2'])
  expect(seenBy(shape, all, 'n1')).toEqual(['n1', 'n3'])
})

test('a cut in one direction leaves the other', () => {
  const mute = oneWay('n1', true)
  expect([mute.cut('n1', 'n2'), mute.cut('n2', 'n1'), mute.cut('n2', 'n3')]).toEqual([true, false, false])
  const deaf = oneWay('n1', false)
  expect([deaf.cut('n1', 'n2'), deaf.cut('n2', 'n1'), deaf.cut('n2', 'n3')]).toEqual([false, true, false])
})

test('a stream of random numbers depends on the seed and its name, not on what others draw', () => {
  const first = new Random(7)
  const faults = Array.from({ length: 5 }, () => first.named('faults').next())
  first.next()
  expect(Array.from({ length: 5 }, () => new Random(7).named('faults').next())).toEqual(faults)
  expect(new Random(7).named('clients').next()).not.toBe(faults[0])
  expect(new Random(8).named('faults').next()).not.toBe(faults[0])
})
