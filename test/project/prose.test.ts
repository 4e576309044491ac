// Prose, in Markdown and in comments, wraps at 120 columns. Tables, code and links on a line of their own do not wrap.

import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const COLUMNS = 120
const root = join(import.meta.dirname, '../..')

const isOurs = (path: string): boolean =>
  !/(^|\/)(node_modules|dist|coverage|reports|\.[^/]+)(\/|$)/.test(path)
const filesOf = (pattern: string): string[] => globSync(pattern, { cwd: root }).filter(isOurs)

const linesOf = (path: string): string[] => readFileSync(join(root, path), 'utf8').split('\n')

/** Beyond the last column, and made of words that could stand on the next line. */
const isTooLong = (line: string): boolean => line.length > COLUMNS && line.lastIndexOf(' ') > COLUMNS / 2

function* prose(path: string): Generator<readonly [number, string]> {
  let isCode = false
  for (const [at, line] of linesOf(path).entries()) {
    if (/^\s*(```|~~~)/.test(line)) isCode = !isCode
    else if (!isCode && !/^( {4}|\s*(\||#|\[[^\]]+\]:))/.test(line)) yield [at + 1, line]
  }
}

function* comments(path: string): Generator<readonly [number, string]> {
  for (const [at, line] of linesOf(path).entries()) {
    // Columns of a list or a diagram are set with spaces.
    if (/^\s*(\/\/|\/?\*)/.test(line) && !/\S {2,}\S/.test(line) && !/@type|biome-ignore/.test(line))
      yield [at + 1, line]
  }
}

const tooLong = (paths: readonly string[], lines: typeof prose): string[] =>
  paths.flatMap((path) =>
    [...lines(path)].flatMap(([at, line]) =>
      isTooLong(line) ? [`${path}:${at}: ${line.length} columns`] : [],
    ),
  )

test('Markdown wraps', () => {
  expect(tooLong(filesOf('**/*.md'), prose)).toEqual([])
})

test('comments wrap', () => {
  expect(tooLong(filesOf('**/*.{ts,js,mjs}'), comments)).toEqual([])
})

test('nothing cites what its readers do not have', () => {
  const citing = filesOf('**/*.{ts,js,mjs,md,golden}').filter((path) =>
    /\b(design|interfaces)(\s|\/\/|\*)+§/.test(readFileSync(join(root, path), 'utf8')),
  )
  expect(citing).toEqual([])
})
