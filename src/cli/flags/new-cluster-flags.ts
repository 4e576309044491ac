// The flags of commands that make a new cluster from old data: --bump, and a new password of the user root.

import { InvalidArgumentError } from '@commander-js/extra-typings'
import { BUMP_MAX, BUMP_MIN } from '../../backup/bump.ts'
import { Failure } from '../../local/failure.ts'
import { NodeStartError } from '../../server/options.ts'
import { EXIT } from '../exit-codes.ts'
import { newPassword } from './credentials.ts'

export const RESET_ROOT = '--reset-root'
export const RESET_ROOT_HELP = 'give the user root a new password, which is typed, or in --password-file'
export const PASSWORD_FILE = '--password-file <file>'
export const PASSWORD_FILE_HELP = 'with --reset-root: the password is its first line; - is standard input'

interface RootResetFlags {
  readonly resetRoot?: true | undefined
  readonly passwordFile?: string | undefined
}

/** The hash of the new password; undefined: root stays as it is. */
export async function newRootHash({ resetRoot, passwordFile }: RootResetFlags): Promise<string | undefined> {
  if (resetRoot !== true) {
    if (passwordFile === undefined) return undefined
    throw new Failure(EXIT.usage, '--password-file needs --reset-root')
  }
  const password = await newPassword('root', { passwordFile })
  const { hashOfRootPassword } = await import('../../server/replica/stopped-replica.ts')
  return hashOfRootPassword(password).catch((error: unknown) => {
    throw error instanceof NodeStartError ? new Failure(EXIT.usage, error.message) : error
  })
}

export const BUMP_HELP = 'how many revisions later the new cluster begins, so that no watcher is fooled'

export function parseBump(text: string): number {
  const bump = /^[0-9]{1,13}$/.test(text) ? Number(text) : Number.NaN
  if (bump >= BUMP_MIN && bump <= BUMP_MAX) return bump
  throw new InvalidArgumentError(`it must be a whole number from ${BUMP_MIN} to ${BUMP_MAX}`)
}
