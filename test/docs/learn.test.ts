// The pages in docs/learn show the program as it is, what it prints, and parts of real transcripts.

import { spawnSync } from 'node:child_process'
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { runCommand } from '../jepsen-lite/commands/run-command.ts'
import { blocksOf, root } from './blocks.ts'

const PROGRAM = 'docs/learn/three-rafts.ts'
const PAGES = globSync('docs/learn/*.md', { cwd: root }).sort()
const BLOCKS = PAGES.flatMap(blocksOf)
const READING = BLOCKS.filter(({ page }) => page.endsWith('reading-the-core.md'))
const EXCERPTS = BLOCKS.filter(({ info }) => info.startsWith('golden '))

const directory = mkdtempSync(join(tmpdir(), 'quorate-learn-'))
afterAll(() => rmSync(directory, { recursive: true }))

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

test('the history that the course shows is not linearizable', async () => {
  const histories = BLOCKS.filter(({ info }) => info === 'jsonl')
  expect(histories).toHaveLength(1)
  const file = join(directory, 'history.jsonl')
  for (const { text } of histories) writeFileSync(file, text.replaceAll(/^ +/gm, ''))
  const { status, stdout } = await runCommand('check', file)
  expect(stdout).toContain('operation 3 fits nowhere')
  expect(status).toBe(1)
})

test('each transcript that a page names is there', () => {
  const named = PAGES.flatMap((page) => [
    ...readFileSync(join(root, page), 'utf8').matchAll(/`([a-z]+(?:-[a-z0-9]+){4,})`/g),
  ])
  const paths = named.map(([, name]) => `test/raft/golden/${name}.golden`)
  expect(paths.length).toBeGreaterThan(2)
  expect(paths.filter((path) => !existsSync(join(root, path)))).toEqual([])
})
