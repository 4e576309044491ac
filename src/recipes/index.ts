// Recipes for coordination. Each file begins with its promise, its limits, its keys and the invariant behind it.

export {
  type Barrier,
  BarrierNotPassedError,
  barrier,
  type RaiseOptions,
  type WaitOptions,
} from './barrier.ts'
export { type Cache, type CacheOptions, type CacheStatistics, cache } from './cache.ts'
export { type Config, ConfigError, type ConfigOptions, config } from './config.ts'
export { type AddOptions, type Counter, counter } from './counter.ts'
export {
  type HeldLock,
  type LockClient,
  LockLostError,
  LockNotTakenError,
  type LockOptions,
} from './fair-lock-queue.ts'
export {
  type CampaignOptions,
  campaign,
  followLeader,
  type LeaderOptions,
  type Leadership,
  leaderOf,
  runAsLeader,
} from './leader.ts'
export { lock } from './lock.ts'
export {
  type DeadLetters,
  type PopOptions,
  type PushOptions,
  type Queue,
  type QueueClient,
  type QueueLength,
  type QueueOptions,
  queue,
} from './queue.ts'
export type { ConsumeOptions } from './queue-consume.ts'
export { ItemLostError, type NackOptions, type QueueEntry, type QueueItem } from './queue-item.ts'
export { type RateLimit, type RateLimiter, type RateLimitResult, rateLimiter } from './rate-limiter.ts'
export type {
  Instance,
  NewInstance,
  Registration,
} from './registration.ts'
export { type Registry, registry } from './registry.ts'
export type { ResolvedInstance, Resolver, ResolverOptions } from './resolver.ts'
export { type RwLock, rwLock } from './rw-lock.ts'
export {
  type Saga,
  type SagaOptions,
  type SagaProblem,
  type SagaStep,
  SagaStuckError,
  SagaTakenOverError,
  type StepContext,
  saga,
} from './saga.ts'
export type { SagaOutcome, SagaResults, SagaView } from './saga-record.ts'
export type { KeepResumingOptions, ResumeOptions } from './saga-resume.ts'
export { type Semaphore, semaphore } from './semaphore.ts'
export {
  MemberLostError,
  type SubscribeOptions,
  type Topic,
  type TopicMessage,
  type TopicOptions,
  topic,
} from './topic.ts'
