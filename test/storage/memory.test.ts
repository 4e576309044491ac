import { conformance } from './conformance.ts'
import { memoryReplica } from './replicas.ts'

conformance('a disk in memory, with faults to come', memoryReplica)
