// Candidates for the word at the cursor: commands, flags, or values of an argument or a flag.

import type { CommandUnknownOpts } from '@commander-js/extra-typings'
import { commandWithGlobalFlags, type GlobalFlags } from '../flags/global-flags.ts'
import { type Candidate, type Completion, completeValue } from './values.ts'

type Option = CommandUnknownOpts['options'][number]

/** `words` stand between the name of the program and the word at the cursor. */
export async function candidatesFor(
  program: CommandUnknownOpts,
  flags: GlobalFlags,
  words: readonly string[],
  current: string,
): Promise<Completion> {
  const typed = readWords(program, words)
  const context = {
    commands: listCommands(program),
    typed: typed.values,
    flags: { ...flags, ...parseGlobalFlags(typed.values) },
  }
  const valuesFor = async (
    name: string,
    { argChoices }: { argChoices?: readonly string[] | undefined },
    text: string,
    before = '',
  ): Promise<Completion> => {
    const completion =
      argChoices === undefined
        ? await completeValue(name, text, context)
        : { candidates: argChoices.map((value) => ({ value })) }
    const candidates = completion.candidates
      .filter(({ value }) => value.startsWith(text))
      .map((candidate) => ({ ...candidate, value: before + candidate.value }))
    return { ...completion, candidates }
  }
  if (typed.pending !== undefined) return valuesFor(typed.pending.long ?? '', typed.pending, current)
  if (!typed.onlyArguments && current.startsWith('-')) {
    const equals = current.indexOf('=') + 1
    const option = equals > 0 ? findOption(typed.command, current) : undefined
    if (option !== undefined)
      return valuesFor(option.long ?? '', option, current.slice(equals), current.slice(0, equals))
    return { candidates: listFlags(typed.command).filter(({ value }) => value.startsWith(current)) }
  }
  if (typed.arguments.length === 0 && typed.command.commands.length > 0) {
    const candidates = listCommands(typed.command).filter(({ value }) => value.startsWith(current))
    return { candidates }
  }
  const declared = typed.command.registeredArguments
  const argument = declared[typed.arguments.length] ?? declared.findLast(({ variadic }) => variadic)
  if (argument === undefined) return { candidates: [] }
  return valuesFor(`${commandPath(typed.command)} ${argument.name()}`, argument, current)
}

/** The path of a command without the name of the program, as in `cluster kill`. */
function commandPath(command: CommandUnknownOpts): string {
  if (command.parent === null) return ''
  return `${commandPath(command.parent)} ${command.name()}`.trim()
}

const listCommands = (command: CommandUnknownOpts): Candidate[] =>
  command
    .createHelp()
    .visibleCommands(command)
    .map((child) => ({ value: child.name(), description: child.description() }))

function listFlags(command: CommandUnknownOpts): Candidate[] {
  return allOptions(command).flatMap(({ long, description }) =>
    long === undefined ? [] : [{ value: long, description }],
  )
}

function allOptions(command: CommandUnknownOpts): Option[] {
  const help = command.createHelp()
  const inherited: Option[] = []
  for (let above = command.parent; above !== null; above = above.parent)
    inherited.push(...help.visibleOptions(above))
  const own = help.visibleOptions(command)
  return [...own, ...inherited.filter(({ long }) => own.every((option) => option.long !== long))]
}

interface CommandLine {
  readonly command: CommandUnknownOpts
  readonly arguments: readonly string[]
  /** The values of flags, by their long names. */
  readonly values: ReadonlyMap<string, string>
  /** The flag whose value stands at the cursor. */
  readonly pending: Option | undefined
  /** `--` stands before the cursor. */
  readonly onlyArguments: boolean
}

function readWords(program: CommandUnknownOpts, words: readonly string[]): CommandLine {
  let command = program
  const positional: string[] = []
  const values = new Map<string, string>()
  let pending: Option | undefined
  let onlyArguments = false
  for (const word of words) {
    const option = onlyArguments ? undefined : findOption(command, word)
    const child = command.commands.find((candidate) => candidate.name() === word)
    if (pending !== undefined) {
      values.set(pending.long ?? '', word)
      pending = undefined
    } else if (option !== undefined) {
      const equals = word.indexOf('=')
      if (equals > 0) values.set(option.long ?? '', word.slice(equals + 1))
      else if (option.required || option.optional) pending = option
    } else if (!onlyArguments && word === '--') onlyArguments = true
    else if (child !== undefined && positional.length === 0) command = child
    else if (onlyArguments || word === '-' || !word.startsWith('-')) positional.push(word)
  }
  return { command, arguments: positional, values, pending, onlyArguments }
}

function findOption(command: CommandUnknownOpts, word: string): Option | undefined {
  const [name] = word.split('=', 1)
  return allOptions(command).find(({ long, short }) => name === long || name === short)
}

/** Flags that name the cluster, its certificates and the user. */
const CLUSTER_FLAGS = ['--endpoints', '--context', '--cacert', '--cert', '--key', '--user', '--token']

function parseGlobalFlags(values: ReadonlyMap<string, string>): Partial<GlobalFlags> {
  const typed = CLUSTER_FLAGS.flatMap((name) => {
    const value = values.get(name)
    return value === undefined ? [] : [name, value]
  })
  if (typed.length === 0) return {}
  const parsed = commandWithGlobalFlags('kv')
    .exitOverride()
    .configureOutput({ writeErr: () => {} })
    .parse(typed, { from: 'user' })
  return parsed.opts()
}
