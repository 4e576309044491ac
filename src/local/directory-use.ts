// The node that a user has started by hand on a directory of the cluster. Its data must not be deleted or moved.

import { basename } from 'node:path'
import { lockHolder } from '../server/inspect-data-directory.ts'

/** Names the node on the directory, its process and how to end it. undefined: none, as far as the system shows it. */
export function useOf(dir: string): string | undefined {
  const pid = lockHolder(dir)
  if (pid === undefined) return undefined
  const [process, end] = pid > 0 ? [`process ${pid}`, `Ctrl-C or kill ${pid}`] : ['a process', 'Ctrl-C']
  return `${basename(dir)} runs outside of the cluster, as ${process} on ${dir}; end it with ${end}`
}
