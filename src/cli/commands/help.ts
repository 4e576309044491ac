// kv help [COMMAND… | TOPIC]

import { Command, type CommandUnknownOpts } from '@commander-js/extra-typings'
import { Failure } from '../../local/failure.ts'
import { PROGRAM } from '../../local/program-name.ts'
import { didYouMean } from '../../system/did-you-mean.ts'
import { type ProgramContext, withExamples } from '../command-definition.ts'
import { EXIT } from '../exit-codes.ts'
import { TOPICS } from '../help-topics.ts'
import { writeLine } from '../terminal/output.ts'

export const command = ({ program }: ProgramContext) =>
  withExamples(new Command('help'), ['kv help', 'kv help put', 'kv help exit-codes'])
    .description('print help on a command or a topic')
    .argument('[topic...]', `a command, or one of: ${Object.keys(TOPICS).join(', ')}`)
    .action((words) => printHelp(program, words))

async function printHelp(program: CommandUnknownOpts, words: readonly string[]): Promise<void> {
  let command = program
  for (const word of words) {
    const next = command.commands.find((candidate) => candidate.name() === word)
    const topics = command === program ? TOPICS : {}
    const topic = Object.hasOwn(topics, word) ? topics[word] : undefined
    if (next === undefined && topic !== undefined) return writeLine(topic.text)
    if (next === undefined) {
      const known = command.commands.map((candidate) => candidate.name())
      const hint = didYouMean(word, [...known, ...Object.keys(topics)])
      const text = `there is no command or topic ${JSON.stringify(word)}`
      throw new Failure(EXIT.usage, `${text}${hint === undefined ? '' : ` (${hint})`}; see ${PROGRAM} help`)
    }
    command = next
  }
  command.outputHelp()
}
