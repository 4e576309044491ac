// No block of the pages is left out, and what the tests say about blocks is about blocks that are there.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { BLOCKS, blockNamed, nameOf, root } from './blocks.ts'
import { FRAGMENTS } from './fragments.ts'
import {
  ANSWERS,
  answerOf,
  COMMANDS,
  isAbout,
  isAnswer,
  isOfShell,
  SHELLS,
  shellBlocksOf,
} from './handlings.ts'
import { NOT_RUN } from './not-run.ts'
import { commandsOf } from './shell.ts'

const RUN = Object.values(SHELLS).flatMap((entries) => entries.flatMap(shellBlocksOf))

test('each block is a program, is run in one shell, or is named with the reason why not', () => {
  expect(BLOCKS.length).toBeGreaterThan(100)
  const counts = BLOCKS.filter(isOfShell).map((block) => [
    nameOf(block),
    RUN.filter((run) => run === block).length,
  ])
  expect(counts.filter(([, count]) => count !== 1)).toEqual([])
})

test('each block that shows an answer has the command that is answered so', () => {
  expect(RUN.filter((block) => isAnswer(block) && answerOf(block) === undefined).map(nameOf)).toEqual([])
})

test('no line of a script is a comment, so that answers stand where they are compared', () => {
  const scripts = RUN.filter(({ info }) => info === 'sh')
  expect(scripts.filter(({ text }) => /^ *#/m.test(text)).map(nameOf)).toEqual([])
})

test.each(NOT_RUN)(
  '$of is there, and the test that checks it in place of ours names it',
  ({ of, command, test: path }) => {
    const blocks = of.endsWith('.md') ? BLOCKS.filter(({ page }) => page === of) : [blockNamed(of)]
    expect(blocks.length).toBeGreaterThan(0)
    for (const { text } of blocks)
      if (command !== undefined) expect(commandsOf(text).some((line) => line.startsWith(command))).toBe(true)
    if (path !== undefined)
      expect(readFileSync(join(root, path), 'utf8').includes(blocks[0]?.page ?? '')).toBe(true)
  },
)

test('each thing that is said about a block or a command is about one that is there', () => {
  for (const { of } of FRAGMENTS) expect(blockNamed(of).info).toBe('ts')
  for (const { of } of ANSWERS) expect(RUN).toContain(blockNamed(of))
  for (const known of COMMANDS) {
    const block = blockNamed(known.of)
    const commands = block.info === 'sh' ? commandsOf(block.text) : block.text.split(/^\$ /m)
    expect(commands.filter((command) => isAbout(known, block, command))).toHaveLength(1)
  }
})
