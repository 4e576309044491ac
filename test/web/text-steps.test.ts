// Long texts of values, step by step.

import { expect, test } from 'vitest'
import { findStepsEnd } from '../../web/src/pages/keys/text-steps.ts'

/** The length of each step. */
function readSteps(text: string): number[] {
  const ends = [0]
  while ((ends.at(-1) ?? 0) < text.length) ends.push(findStepsEnd(text, ends.length))
  return ends.slice(1).map((end, at) => end - (ends[at] ?? 0))
}

test('a step has so many characters, and no half of one', () => {
  expect(readSteps('')).toEqual([])
  expect(readSteps('a'.repeat(40_000))).toEqual([32_768, 7_232])
  expect(readSteps(`a${'😀'.repeat(20_000)}`)).toEqual([32_767, 7_234])
})

test('a step has so many lines and escapes', () => {
  expect(readSteps('\n'.repeat(2_500))).toEqual([1_000, 1_000, 500])
  expect(readSteps('a\u202e'.repeat(1_500))).toEqual([2_000, 1_000])
})
