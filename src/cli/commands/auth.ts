// kv auth enable | disable | status: whether rights are checked.

import { Command } from '@commander-js/extra-typings'
import { QuorateError } from '../../client/index.ts'
import { Failure } from '../../local/failure.ts'
import { PROGRAM } from '../../local/program-name.ts'
import { withContext } from '../command-context.ts'
import { type ProgramContext, withExamples } from '../command-definition.ts'
import { EXIT } from '../exit-codes.ts'
import type { GlobalFlags } from '../flags/global-flags.ts'
import { printResult, say } from '../terminal/output.ts'

export const command = ({ flags }: ProgramContext) =>
  new Command('auth')
    .description('whether rights are checked')
    .addCommand(
      withExamples(new Command('status'), ['kv auth status', 'kv auth status -o json'])
        .description('print it; needs no user')
        .action(() => showStatus(flags())),
    )
    .addCommand(
      withExamples(new Command('enable'), ['kv user add root --role root', 'kv auth enable'])
        .description('check rights from now on; needs a user root with the role root')
        .action(() => enable(flags())),
    )
    .addCommand(
      withExamples(new Command('disable'), ['kv auth disable --user root'])
        .description('check rights no longer: who can connect may do everything')
        .action(() => disable(flags())),
    )

const CHANGE = { kind: 'write', check: `${PROGRAM} auth status` } as const

async function showStatus(global: GlobalFlags): Promise<void> {
  // Without a user: a password would be asked for.
  const { user: _, token: __, ...anonymous } = global
  await withContext(anonymous, { kind: 'read' }, async ({ client, format, signal }) => {
    const { enabled, revision } = await client.auth.status({ signal })
    const text = enabled ? 'rights are checked' : 'rights are not checked: who can connect may do everything'
    await printResult(format, { enabled, revision }, enabled ? 'on' : 'off', text)
  })
}

async function enable(global: GlobalFlags): Promise<void> {
  await withContext(global, CHANGE, async ({ client, signal }) => {
    try {
      await client.auth.enable({ signal })
    } catch (error) {
      if (!(error instanceof QuorateError) || error.code !== 'bad_request') throw error
      throw new Failure(
        EXIT.failed,
        `${error.message}; nothing was written; \`${PROGRAM} user add root --role root\` makes it`,
      )
    }
    say('rights are checked from now on: say who you are with --user, or with KV_USER and KV_PASSWORD')
  })
}

async function disable(global: GlobalFlags): Promise<void> {
  await withContext(global, CHANGE, async ({ client, signal }) => {
    await client.auth.disable({ signal })
    say('rights are not checked any more: who can connect may do everything')
  })
}
