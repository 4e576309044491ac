// The pages in docs/learn show the program as it is, what it prints, and parts of real transcripts.

import { spawnSync } from 'node:child_process'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { blocksOf, root } from './blocks.ts'

const PROGRAM = 'docs/learn/three-rafts.ts'
const PAGES = globSync('docs/learn/*.md', { cwd: root }).sort()
const BLOCKS = PAGES.flatMap(blocksOf)
const READING = BLOCKS.filter(({ page }) => page.endsWith('reading-the-core.md'))
const EXCERPTS = BLOCKS.filter(({ info }) => info.startsWith('golden '))

const linesOf = (text: string): readonly string[] => text.split('\n').filter((line) => line !== '')

test('the page has each line of the program', () => {
  const shown = READING.filter(({ info }) => info === 'ts').map(({ text }) => text)
  expect(linesOf(shown.join(''))).toEqual(linesOf(readFileSync(join(root, PROGRAM), 'utf8')))
})

test('three replicas agree, and print what the page shows', () => {
  const { stdout, stderr, status } = spawnSync(process.execPath, [PROGRAM], { cwd: root, encoding: 'utf8' })
  expect({ stderr, status }).toEqual({ stderr: '', status: 0 })
  expect(READING.filter(({ info }) => info === '').map(({ text }) => text)).toEqual([stdout])
})

test.each(EXCERPTS)('$page:$line is in the transcript', ({ info, text }) => {
  const transcript = readFileSync(join(root, `test/raft/${info.replace(' ', '/')}.golden`), 'utf8')
  expect(transcript).toContain(text)
})

test('each transcript that a page names is there', () => {
  const named = PAGES.flatMap((page) => [
    ...readFileSync(join(root, page), 'utf8').matchAll(/`([a-z]+(?:-[a-z0-9]+){4,})`/g),
  ])
  const paths = named.map(([, name]) => `test/raft/golden/${name}.golden`)
  expect(paths.length).toBeGreaterThan(2)
  expect(paths.filter((path) => !existsSync(join(root, path)))).toEqual([])
})
