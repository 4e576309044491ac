// The guides about simulations show programs and output. Each test of a program compares them with the page.

import { expect } from 'vitest'
import { blocksOf } from '../../../docs/blocks.ts'

/** The reason with which the promise rejects. */
export async function failureOf(promise: Promise<unknown>): Promise<Error> {
  try {
    await promise
  } catch (error) {
    if (error instanceof Error) return error
    throw error
  }
  throw new Error('it has not failed')
}

/** Numbers follow from details of the nodes and the client. */
const plain = (text: string): string => text.trim().replaceAll(/\d+(\.\d+)?/g, '(n)')

/** A line `…` in the page stands for any lines. */
function isLike(shown: string, printed: string): boolean {
  let rest = plain(printed)
  return plain(shown)
    .split(/^ *…$/m)
    .every((part) => {
      const text = part.trim()
      const at = rest.indexOf(text)
      rest = rest.slice(at + text.length)
      return at >= 0
    })
}

/** Checks that a text block of the page shows this output. */
export function expectShown(page: string, output: string): void {
  const blocks = blocksOf(page).filter(({ info }) => info === 'text')
  const isShown = blocks.some(({ text }) => isLike(text, output))
  expect(isShown, `${page} does not show this:\n${output}`).toBe(true)
}
