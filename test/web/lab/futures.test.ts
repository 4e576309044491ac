// Futures that a run has left, and their form in the store of the browser.

import { signal } from '@preact/signals'
import { expect, it } from 'vitest'
import { type Future, formatFutures, futuresAfter, parseFutures } from '../../../web/src/lab/futures.ts'
import { KeptFutures } from '../../../web/src/lab/kept-futures.ts'

const WRITE = '100:put,client=0,node=leader,key=0,x=41'
const CUT = '200:isolate,target=leader,ms=3000'
const PAUSE = '300:pause,target=1,ms=500'
const run = (...lines: readonly string[]): string => ['seed=7', ...lines].join(';')
const shown = (futures: readonly Future[]) => futures.map(({ link, line, count }) => [link, line.at, count])

it('an action at an earlier moment leaves the future that had been, and undo leaves one too', () => {
  const left = futuresAfter([], run(WRITE, CUT), run(WRITE, PAUSE))
  expect(shown(left)).toEqual([[run(WRITE, CUT), 200, 1]])
  expect(shown(futuresAfter(left, run(WRITE, PAUSE), run(WRITE)))).toEqual([
    [run(WRITE, PAUSE), 300, 1],
    [run(WRITE, CUT), 200, 1],
  ])
  expect(shown(futuresAfter([], run(WRITE, CUT, PAUSE), run()))).toEqual([[run(WRITE, CUT, PAUSE), 100, 3]])
})

it('a future that is opened, or that the run has become, is none any more', () => {
  const left = futuresAfter([], run(WRITE, CUT), run(WRITE, PAUSE))
  expect(shown(futuresAfter(left, run(WRITE, PAUSE), run(WRITE, CUT)))).toEqual([[run(WRITE, PAUSE), 300, 1]])
  expect(futuresAfter([], run(WRITE), run(WRITE, CUT))).toEqual([])
})

it('another cluster has none, and there are at most eight', () => {
  const left = futuresAfter([], run(WRITE, CUT), run(WRITE))
  expect(futuresAfter(left, run(WRITE), 'seed=8')).toEqual([])
  let futures: readonly Future[] = []
  for (let at = 1; at <= 10; at++) futures = futuresAfter(futures, run(`${at}:pause,target=1,ms=5`), run())
  expect(futures.map(({ line }) => line.at)).toEqual([10, 9, 8, 7, 6, 5, 4, 3])
})

it('the store of the browser gives them back, and no other text does', () => {
  const left = futuresAfter([], run(WRITE, CUT), run(WRITE))
  const both = futuresAfter(left, run(WRITE, PAUSE), run(WRITE))
  expect(parseFutures(formatFutures(both), run(WRITE))).toEqual(both)
  expect(parseFutures(formatFutures(both), 'seed=8')).toEqual([])
  for (const text of [null, '', '{', '7', '[7]']) expect(parseFutures(text, run())).toEqual([])
})

it('another run and the step of a lesson begin anew, also with the same seed; a page that is loaded again does not', () => {
  const [link, runs, isArriving] = [signal(''), signal(0), signal(false)]
  const present = { link, runs, isArriving: () => isArriving.value }
  const stored = new Map<string, string>()
  const store = {
    getItem: (key: string) => stored.get(key) ?? null,
    setItem: (key: string, text: string) => void stored.set(key, text),
  }
  const kept = new KeptFutures(present)
  kept.follow(() => store)
  const leave = (): void => {
    link.value = run(WRITE, CUT)
    link.value = run(WRITE)
  }
  leave()
  const again = new KeptFutures(present)
  again.follow(() => store)
  expect([kept.all.value.length, again.all.value]).toEqual([1, kept.all.value])
  runs.value++
  link.value = run()
  expect(kept.all.value).toEqual([])
  leave()
  expect(kept.all.value).toHaveLength(1)
  isArriving.value = true
  link.value = run(PAUSE)
  isArriving.value = false
  expect(kept.all.value).toEqual([])
})
