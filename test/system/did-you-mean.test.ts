// Suggestions for mistyped words, compared with the definition of the distance, for all words of up to three of three
// letters.

import { expect, test } from 'vitest'
import { findNearest } from '../../src/system/did-you-mean.ts'

/** How many characters must be inserted, removed, replaced, or swapped with their neighbour. */
function edits(from: string, to: string): number {
  if (from === '' || to === '') return from.length + to.length
  const [less, lessOfTo] = [from.slice(0, -1), to.slice(0, -1)]
  const same = from.at(-1) === to.at(-1)
  const ways = [edits(less, to) + 1, edits(from, lessOfTo) + 1, edits(less, lessOfTo) + (same ? 0 : 1)]
  const swapped = from.length > 1 && from.at(-1) === to.at(-2) && from.at(-2) === to.at(-1)
  if (swapped) ways.push(edits(from.slice(0, -2), to.slice(0, -2)) + 1)
  return Math.min(...ways)
}

const words = ['']
for (let at = 0; (words[at] ?? '').length < 3; at++)
  words.push(...['a', 'b', 'c'].map((letter) => words[at] + letter))

test('the nearest of two, the first of two that are as near, and none that is more than half another word', () => {
  expect(words.length).toBe(40)
  for (const word of words) {
    const distances = new Map(words.map((candidate) => [candidate, edits(word, candidate)]))
    const distance = (candidate: string) => distances.get(candidate) ?? Number.NaN
    const isNear = (candidate: string) => distance(candidate) <= Math.max(word.length, candidate.length) / 2
    for (const one of words) {
      for (const other of words) {
        const [first, second] = [one, other].filter(isNear)
        const isSecond = first !== undefined && second !== undefined && distance(second) < distance(first)
        const found = findNearest(word, [one, other])
        if (found !== (isSecond ? second : first)) expect({ word, one, other, found }).toBeUndefined()
      }
    }
  }
})

test.each([
  ['ifAbsnt', 'ifAbsent'],
  ['ifRevsiion', 'ifRevision'],
  ['timeout', 'timeoutMs'],
  ['Signal', 'signal'],
  ['force', undefined],
])('%s: %s', (word, meant) => {
  expect(findNearest(word, ['signal', 'timeoutMs', 'ifRevision', 'ifAbsent'])).toBe(meant)
})
