import { startNode as start } from '../server/start-node.ts'
import type { NodeOptions, RunningNode } from '../server/types.ts'
import { checkNode } from './arguments.ts'

/** Resolves when the node listens and takes part; joining a cluster goes on behind it. Rejects with a message that says what to do. */
export async function startNode(options: NodeOptions): Promise<RunningNode> {
  checkNode(options)
  return start(options)
}
