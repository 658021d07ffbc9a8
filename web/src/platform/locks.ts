/**
 * Locks that the tabs of one browser share: Web Locks where the browser offers them, which is in secure
 * contexts only (https, or loopback); elsewhere the tabs agree over a BroadcastChannel.
 */

/** Gives a lock back. */
export type Release = () => void;

/** Locks by name. */
export interface Locks {
  /** Takes a lock, and waits for it for at most `patienceMs`. Null if another tab keeps it. */
  take(name: string, patienceMs: number): Promise<Release | null>;
}

/** If tabs cannot agree, each acts as if it were alone. */
const ALONE: Release = () => undefined;

/**
 * The locks that this browser offers. All pages of the origin share them, whatever the prefix of their service, since
 * they also share the connections that the locks guard.
 */
export function browserLocks(): Locks {
  const manager = (navigator as { locks?: LockManager }).locks;
  if (manager !== undefined) return new WebLocks(manager);
  try {
    return new ChannelLocks();
  } catch {
    return { take: async () => ALONE };
  }
}

/** The errors of a request for a lock that has waited long enough. */
const WAITED: ReadonlySet<string> = new Set(["AbortError", "TimeoutError"]);

class WebLocks implements Locks {
  readonly #manager: LockManager;

  constructor(manager: LockManager) {
    this.#manager = manager;
  }

  take(name: string, patienceMs: number): Promise<Release | null> {
    const options: LockOptions = patienceMs === 0 ? { ifAvailable: true } : { signal: AbortSignal.timeout(patienceMs) };
    return new Promise((answer) => {
      const held = this.#manager.request(name, options, (lock) => {
        if (lock === null) return answer(null);
        // The lock is kept until the promise of this callback settles.
        return new Promise<void>((release) => answer(release));
      });
      // Any other error means that the browser gives this page no locks, for instance because it is set to store nothing.
      held.catch((error: unknown) => answer(error instanceof DOMException && WAITED.has(error.name) ? null : ALONE));
    });
  }
}

/** How long the other tabs have to object, in milliseconds. */
const OBJECTION_MS = 250;

interface Claim {
  readonly claim: string;
  readonly by: string;
}

interface Objection {
  readonly taken: string;
  readonly to: string;
}

/** A claim stands unless a tab that has the lock, or that claimed it with a smaller number, objects. */
class ChannelLocks implements Locks {
  readonly #channel = new BroadcastChannel("chitchat-locks");
  readonly #self = crypto.getRandomValues(new Uint32Array(2)).join("-");
  readonly #held = new Set<string>();
  readonly #claims = new Map<string, () => void>();

  constructor() {
    this.#channel.onmessage = ({ data }: MessageEvent<Claim | Objection>) => {
      if ("taken" in data) {
        if (data.to === this.#self) this.#claims.get(data.taken)?.();
      } else if (this.#held.has(data.claim) || (this.#claims.has(data.claim) && this.#self < data.by)) {
        this.#channel.postMessage({ taken: data.claim, to: data.by } satisfies Objection);
      }
    };
  }

  async take(name: string, patienceMs: number): Promise<Release | null> {
    const deadline = performance.now() + patienceMs;
    do {
      if (await this.#stands(name)) {
        this.#held.add(name);
        return () => this.#held.delete(name);
      }
    } while (performance.now() < deadline);
    return null;
  }

  #stands(name: string): Promise<boolean> {
    if (this.#held.has(name) || this.#claims.has(name)) return Promise.resolve(false);
    return new Promise((answer) => {
      const timer = setTimeout(() => settle(true), OBJECTION_MS);
      const settle = (stands: boolean) => {
        clearTimeout(timer);
        this.#claims.delete(name);
        answer(stands);
      };
      this.#claims.set(name, () => settle(false));
      this.#channel.postMessage({ claim: name, by: this.#self } satisfies Claim);
    });
  }
}
