import type { NodeOptions, RunningNode } from '../server/options.ts'
import { startNode as start } from '../server/start-node.ts'
import { checkNode } from './arguments.ts'

/**
 * Resolves when the node listens and takes part; joining a cluster goes on behind it. Rejects with a message that says
 * what to do.
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

/** Paths are put behind it. */
const withoutSlash = (url: string): string => url.replace(/\/+$/, '')
