// The help of every command, word for word: read it in review. `npx vitest run test/cli/help.test.ts -u` writes it
// anew.

import { join } from 'node:path'
import type { CommandUnknownOpts } from '@commander-js/extra-typings'
import { expect, test } from 'vitest'
import { TOPICS } from '../../src/cli/help-topics.ts'
import { buildProgram } from '../../src/cli/program.ts'
import { PROGRAM } from '../../src/local/program-name.ts'

const GOLDEN = join(import.meta.dirname, 'golden')
/** Tested elsewhere; `complete` is hidden. */
const ELSEWHERE = new Set(['cluster', 'node', 'complete'].map((name) => `${PROGRAM} ${name}`))

test('the help of every command', async () => {
  const program = await buildProgram([])
  const texts = commandsOf(program).map((command) => `$ ${pathOf(command)} --help\n${helpOf(command)}`)
  await expect(texts.join('\n\n')).toMatchFileSnapshot(join(GOLDEN, 'help.txt'))
})

test('the topics', async () => {
  const texts = Object.entries(TOPICS).map(([name, topic]) => `$ ${PROGRAM} help ${name}\n${topic.text}\n`)
  await expect(texts.join('\n\n')).toMatchFileSnapshot(join(GOLDEN, 'topics.txt'))
})

test('no line is wider than 110 columns', async () => {
  const program = await buildProgram([])
  const texts = [...commandsOf(program).map(helpOf), ...Object.values(TOPICS).map((topic) => topic.text)]
  expect(texts.flatMap((text) => text.split('\n')).filter((line) => line.length > 110)).toEqual([])
})

function commandsOf(command: CommandUnknownOpts): CommandUnknownOpts[] {
  const own = command.commands.filter((child) => !ELSEWHERE.has(pathOf(child)))
  return [command, ...own.flatMap(commandsOf)]
}

function pathOf(command: CommandUnknownOpts): string {
  return command.parent === null ? PROGRAM : `${pathOf(command.parent)} ${command.name()}`
}

function helpOf(command: CommandUnknownOpts): string {
  let text = ''
  command.configureOutput({
    writeOut: (part) => {
      text += part
    },
  })
  command.outputHelp()
  return text
}
