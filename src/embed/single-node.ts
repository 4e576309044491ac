import type { NodeOptions, RunningNode } from '../server/options.ts'
import { startNode as start } from '../server/start/start-node.ts'
import { checkNode } from './arguments.ts'

/**
 * Starts one node. Resolves when it listens; a node that joins a cluster becomes a member later.
 *
 * @throws TypeError when an option is unknown or of the wrong type
 * @throws NodeStartError when the options contradict each other or the directory; the message names the next step
 * @throws Error when the data is damaged or a port is taken
 */
export async function startNode(options: NodeOptions): Promise<RunningNode> {
  checkNode(options)
  const { founding, advertiseUrl } = options
  return start({
    ...options,
    advertiseUrl: advertiseUrl === undefined ? undefined : withoutSlash(advertiseUrl),
    founding: founding.kind === 'join' ? { ...founding, urls: founding.urls.map(withoutSlash) } : founding,
  })
}

/** Removes final slashes: paths are appended to the URL. */
const withoutSlash = (url: string): string => url.replace(/\/+$/, '')
