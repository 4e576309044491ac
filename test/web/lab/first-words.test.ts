// Sentences for somebody who sees the lab for the first time, and whether only timers are waited for.

import { expect, it } from 'vitest'
import { Lab, labSchedule, parseNewLine } from '../../../jepsen-lite/lab/index.ts'
import { introduction, isTimerNext, whyNotNow } from '../../../web/src/lab/first-words.ts'
import { cutOffLine, deafLine } from '../../../web/src/lab/line-texts.ts'

it('says what the page is', () => {
  expect(introduction(5)).toBe('A Raft cluster of five nodes runs in this page, in slow motion.')
  expect(introduction(1)).toBe('A Raft cluster of one node runs in this page, in slow motion.')
  expect(introduction(0)).toBe('A Raft cluster runs in this page, in slow motion.')
})

it('only timers are waited for while no leader reaches a majority and nobody stands for election', () => {
  const lab = new Lab(labSchedule(1))
  const isNext = (): boolean => {
    const { nodes, cuts } = lab.view()
    return isTimerNext(nodes, cuts)
  }
  const isWaiting = (at: number): boolean => {
    lab.runTo(at)
    return isNext()
  }
  expect(isWaiting(300)).toBe(true)
  // n1 leads term 2 from 1161 ms on.
  expect([isWaiting(1100), isWaiting(2000)]).toEqual([false, false])
  lab.add(parseNewLine(cutOffLine('n1', 4000)))
  expect(isWaiting(2100)).toBe(true)
  expect(isWaiting(4000)).toBe(false)
})

it('a leader that nobody hears leads no majority, and one that hears nobody does', () => {
  const isNext = (direction: 'in' | 'out'): boolean => {
    const lab = new Lab(labSchedule(1))
    lab.runTo(2000)
    lab.add(parseNewLine(deafLine('n1', direction, 4000)))
    lab.runTo(2003)
    const { nodes, cuts } = lab.view()
    return isTimerNext(nodes, cuts)
  }
  expect([isNext('out'), isNext('in')]).toEqual([true, false])
})

it('gives the reason for which nobody can write or cut off the leader', () => {
  expect(whyNotNow(false, true)).toMatch(/no leader/)
  expect(whyNotNow(true, false)).toMatch(/clients wait/)
  expect(whyNotNow(true, true)).toBeUndefined()
})
