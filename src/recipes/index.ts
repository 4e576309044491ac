// Recipes: what applications build on a consistent store, each in a file that begins with its promise and its limits.

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
export { type DoubleBarrier, doubleBarrier, type Entered } from './double-barrier.ts'
export {
  type CampaignOptions,
  campaign,
  followLeader,
  type LeaderOptions,
  type Leadership,
  leaderOf,
  runAsLeader,
} from './leader.ts'
export { type HeldLock, type LockClient, LockLostError, LockNotTakenError, type LockOptions } from './line.ts'
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
export { type RateLimit, type RateLimiter, rateLimiter, type Taken } from './rate-limiter.ts'
export {
  type Instance,
  type NewInstance,
  type Registration,
  type Registry,
  type Resolved,
  type Resolver,
  type ResolverOptions,
  registry,
} from './registry.ts'
export { type RwLock, rwLock } from './rw-lock.ts'
export {
  type ResumeOptions,
  type Saga,
  type SagaOptions,
  type SagaOutcome,
  type SagaProblem,
  type SagaStep,
  SagaStuckError,
  SagaTakenOverError,
  type SagaView,
  type StepContext,
  saga,
} from './saga.ts'
export { type Semaphore, semaphore } from './semaphore.ts'
export {
  MemberLostError,
  type SubscribeOptions,
  type Topic,
  type TopicMessage,
  type TopicOptions,
  topic,
} from './topic.ts'
