// Directories that a command of root changes while other users can change directories above them. Linux only: names are
// resolved through `/proc/self/fd`.

import { closeSync, constants, fstatSync, mkdirSync, openSync, readlinkSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { errorCode } from './durable.ts'

const { O_DIRECTORY, O_NOFOLLOW, O_RDONLY } = constants
const OTHERS_WRITE = 0o022
/** As the kernel's. */
const LINKS_MAX = 40

/** Link that another user than root and the caller may have made. */
export class ForeignLinkError extends Error {
  override readonly name = 'ForeignLinkError'

  constructor(path: string) {
    super(
      `${path} is a link in a directory that other users can change, and it is not followed; remove the link, or use a path without it`,
    )
  }
}

/** The path of an entry of an open directory, whatever the directory is called now. */
export const entryPath = (directory: number, name: string): string => `/proc/self/fd/${directory}/${name}`

/**
 * Opens a directory; missing ones are created with mode 755. Each component is opened by itself: a path that is checked
 * first may lead elsewhere when it is used. Below a directory that another user can change no link is followed.
 * @throws ForeignLinkError
 */
export function openDirectory(path: string): number {
  const names = namesOf(resolve(path))
  let [at, directory] = ['/', openSync('/', O_RDONLY | O_DIRECTORY)]
  let isOurs = true
  let links = 0
  try {
    for (;;) {
      isOurs &&= !isChangedByOthers(directory)
      const name = names.shift()
      if (name === undefined) return directory
      const target = linkTarget(entryPath(directory, name))
      if (target !== undefined) {
        links++
        if (!isOurs || links > LINKS_MAX) throw new ForeignLinkError(join(at, name))
        names.unshift(...namesOf(target))
        if (!target.startsWith('/')) continue
      }
      const [next, below] = target === undefined ? [join(at, name), entryPath(directory, name)] : ['/', '/']
      const opened = openOrMake(below)
      closeSync(directory)
      at = next
      directory = opened
    }
  } catch (error) {
    closeSync(directory)
    throw error
  }
}

const namesOf = (path: string): string[] => path.split('/').filter((name) => name !== '' && name !== '.')

function isChangedByOthers(directory: number): boolean {
  const { uid, mode } = fstatSync(directory)
  return (uid !== 0 && uid !== process.geteuid?.()) || (mode & OTHERS_WRITE) !== 0
}

const NO_LINK: ReadonlySet<unknown> = new Set(['EINVAL', 'ENOENT', 'ENOTDIR'])

/** undefined: it is no link, or is missing. */
function linkTarget(entry: string): string | undefined {
  try {
    return readlinkSync(entry)
  } catch (error) {
    if (NO_LINK.has(errorCode(error))) return undefined
    throw error
  }
}

/** A link that has just taken the place of a directory is an error. */
function openOrMake(entry: string): number {
  const open = (): number => openSync(entry, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
  try {
    return open()
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error
    mkdirSync(entry, 0o755)
    return open()
  }
}
