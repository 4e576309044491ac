import { conformance } from './conformance.ts'
import { memoryReplica } from './replicas.ts'

conformance('memory', memoryReplica)
