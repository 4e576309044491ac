// Flags of several subcommands, and how these report their progress.

import { InvalidArgumentError } from '@commander-js/extra-typings'

/** Parses a flag that is a whole number. */
export function whole(min = 0, max = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const number = Number(text)
    if (/^[0-9]+$/.test(text) && number >= min && number <= max) return number
    const range = max === Number.MAX_SAFE_INTEGER ? `of at least ${min}` : `from ${min} to ${max}`
    throw new InvalidArgumentError(`It must be a whole number ${range}.`)
  }
}

/**
 * Parses a flag that is a list of words, separated by commas. An empty list is refused: nothing would run, and nothing
 * would be found wrong.
 */
export function list(text: string): string[] {
  const words = text.split(',').filter((part) => part !== '')
  if (words.length === 0) throw new InvalidArgumentError('At least one name is needed.')
  return words
}

/** Prints on stderr what happens, with the time. */
export function progress(): (line: string) => void {
  const startedAt = performance.now()
  return (line) => {
    process.stderr.write(`${((performance.now() - startedAt) / 1_000).toFixed(1).padStart(6)} s  ${line}\n`)
  }
}
