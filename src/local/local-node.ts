// One node of a cluster on this machine: its process, where it listens, and at what stage it is.

import type { Founding, ListenAddress } from '../server/node/types.ts'
import { HOST, portOf, urlOf } from './addresses.ts'
import type { Stage } from './cluster-file.ts'
import type { PeerAddresses } from './node-messages.ts'
import type { NodeView } from './node-view.ts'
import type { NodePlan } from './plan.ts'
import { type NodeEvent, SupervisedNode } from './supervised-node.ts'

export class LocalNode {
  readonly name: string
  /** Of its HTTP API, whether it runs or not. */
  readonly port: number
  readonly url: string
  readonly process: SupervisedNode
  stage: Stage
  /** Of its peer listener; 0 until the system has chosen it. */
  peerPort: number
  #listens = false

  /** Its data and its log are in `clusterDir`. `env` is for its process alone, beside what is inherited. */
  constructor(
    { name, port, peerPort, stage }: NodePlan,
    clusterDir: string,
    onEvent: (event: NodeEvent) => void,
    env: NodeJS.ProcessEnv = {},
  ) {
    this.name = name
    this.port = port
    this.url = urlOf(port)
    this.stage = stage
    this.peerPort = peerPort
    this.process = new SupervisedNode(
      name,
      clusterDir,
      (event) => {
        this.#note(event)
        onEvent(event)
      },
      env,
    )
  }

  get view(): NodeView | undefined {
    return this.process.view
  }

  /** Where other nodes reach it; undefined while it does not listen. */
  get peerListener(): ListenAddress | undefined {
    return this.#listens ? { host: HOST, port: this.peerPort } : undefined
  }

  /** `peers`: where it reaches each of the others. */
  start(founding: Founding, peers: PeerAddresses): void {
    this.process.start({
      name: this.name,
      dataDir: this.process.dataDir,
      listen: { host: HOST, port: this.port },
      peerListen: { host: HOST, port: this.peerPort },
      founding,
      peers,
    })
  }

  /** Once it is ready it is a member. Whether that is new. */
  becameMember(): boolean {
    if (this.stage === 'member' || !this.process.ready) return false
    this.stage = 'member'
    return true
  }

  #note(event: NodeEvent): void {
    if (event.kind === 'started') this.peerPort = portOf(event.peer)
    if (event.kind !== 'view') this.#listens = event.kind === 'started'
  }
}
