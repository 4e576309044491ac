// The commands with their arguments and flags, which scripts rely on. `npx vitest run test/cli/help.test.ts -u` writes
// the golden file anew; read the difference in review.

import { join } from 'node:path'
import type { CommandUnknownOpts } from '@commander-js/extra-typings'
import { expect, test } from 'vitest'
import { TOPICS } from '../../src/cli/help-topics.ts'
import { buildProgram } from '../../src/cli/program.ts'
import { PROGRAM } from '../../src/local/program-name.ts'
import { kv } from './run-kv.ts'

const GOLDEN = join(import.meta.dirname, 'golden/commands.txt')

test('every command, with its arguments and flags', async () => {
  const program = await buildProgram([])
  await expect(`${commandsOf(program).map(linesOf).join('\n')}\n`).toMatchFileSnapshot(GOLDEN)
})

test('the help of a command begins with examples', async () => {
  expect(await kv(['help', 'del'])).toMatchObject({
    code: 0,
    out: `Examples:
  ${PROGRAM} del greeting
  ${PROGRAM} del a b c
  ${PROGRAM} del lock --if-revision 42
  ${PROGRAM} del --prefix tmp/
  ${PROGRAM} del --start log/2025 --end log/2026 --yes
  ${PROGRAM} del --prefix conf/ --atomic --yes

Usage: ${PROGRAM} del [options] [keys...]

delete keys; prints how many there were

Options:
  --if-revision <revision>  only if this is the key's mod revision
  --prefix [prefix]         all keys that begin with it, in parts; '' are all keys
  --start <key>             keys from this one on
  --end <key>               keys before this one
  --atomic                  all at one revision, or none
  --yes                     do not ask before a range is deleted
  -h, --help                print help

Global options, such as --endpoints and --output: ${PROGRAM} help
`,
  })
})

test.each(Object.entries(TOPICS))('the topic %s', async (name, { text }) => {
  expect(await kv(['help', name])).toMatchObject({ code: 0, out: `${text}\n` })
})

test('no line is wider than 110 columns, except examples', async () => {
  const program = await buildProgram([])
  const texts = [...commandsOf(program).map(helpOf), ...Object.values(TOPICS).map((topic) => topic.text)]
  const lines = texts.flatMap((text) => text.split('\n')).filter((line) => !line.startsWith(`  ${PROGRAM} `))
  expect(lines.filter((line) => line.length > 110)).toEqual([])
})

const commandsOf = (command: CommandUnknownOpts): CommandUnknownOpts[] => [
  command,
  ...command.commands.flatMap(commandsOf),
]

function linesOf(command: CommandUnknownOpts): string {
  const words = command.registeredArguments.map((argument) => {
    const name = `${argument.name()}${argument.variadic ? '...' : ''}`
    return argument.required ? `<${name}>` : `[${name}]`
  })
  const flags = command.options.map(({ flags, mandatory, argChoices, envVar, defaultValue }) =>
    [
      `  ${flags}`,
      ...(mandatory ? ['(required)'] : []),
      ...(argChoices === undefined ? [] : [argChoices.join('|')]),
      ...(envVar === undefined ? [] : [envVar]),
      ...(defaultValue === undefined ? [] : [`= ${JSON.stringify(defaultValue)}`]),
    ].join(' '),
  )
  return [[pathOf(command), ...words].join(' '), ...flags].join('\n')
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
