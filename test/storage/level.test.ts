import { conformance } from './conformance.ts'
import { levelReplica } from './replicas.ts'

conformance('LevelDB', levelReplica)
