import { describe, expect, it, vi } from 'vitest';
import { Intake } from './intake.js';

const request = (id: unknown): Record<string, unknown> => ({ jsonrpc: '2.0', id, method: 'm' });
const cancel = (id: unknown): Record<string, unknown> => ({
  jsonrpc: '2.0',
  method: '$/cancelRequest',
  params: { id },
});

describe('Intake', () => {
  it('is full at its number of messages, and calls back once when there is room', () => {
    const intake = new Intake({ messages: 2, bytes: 1000 });
    const room = vi.fn();
    const notification = { jsonrpc: '2.0', method: 'n' };
    expect(intake.admit(request(1), 1)).toBe('deliver');
    expect(intake.full).toBe(false);
    expect(intake.admit(notification, 1)).toBe('deliver');
    expect(intake.full).toBe(true);
    intake.onceRoom(room);
    intake.release(2);
    expect(room).not.toHaveBeenCalled();
    intake.release(notification);
    intake.release(1);
    expect(room).toHaveBeenCalledTimes(1);
    expect(intake.full).toBe(false);
  });

  it('is full at its number of bytes', () => {
    const intake = new Intake({ messages: 10, bytes: 100 });
    intake.admit(request('a'), 100);
    expect(intake.full).toBe(true);
    intake.release('a');
    expect(intake.full).toBe(false);
  });

  it.each([[null], [{}], [true], ['x'.repeat(257)]])('refuses a request whose id is %j', (id) => {
    expect(new Intake().admit(request(id), 1)).toBe('refuse');
  });

  it('refuses an id that is in use, as text or as number, until it is answered', () => {
    const intake = new Intake();
    expect(intake.admit(request(1), 1)).toBe('deliver');
    expect(intake.admit(request('1'), 1)).toBe('refuse');
    intake.release(1);
    expect(intake.admit(request('1'), 1)).toBe('deliver');
  });

  it('passes on one cancellation of each request that runs, and no other, and none of them is held', () => {
    const intake = new Intake({ messages: 2, bytes: 1000 });
    intake.admit(request(1), 1);
    expect(intake.admit(cancel(2), 1)).toBe('ignore');
    expect(intake.admit(cancel({}), 1)).toBe('ignore');
    expect(intake.admit({ jsonrpc: '2.0', method: '$/cancelRequest' }, 1)).toBe('ignore');
    expect(intake.admit(cancel(1), 1)).toBe('deliver');
    expect(intake.admit(cancel(1), 1)).toBe('ignore');
    expect(intake.full).toBe(false);
  });

  it('ignores responses, and refuses what is no message', () => {
    const intake = new Intake();
    expect(intake.admit({ jsonrpc: '2.0', id: 1, result: 1 }, 1)).toBe('ignore');
    expect(intake.admit({ jsonrpc: '2.0', id: 1, error: {} }, 1)).toBe('ignore');
    expect(intake.admit({ jsonrpc: '2.0', id: 1 }, 1)).toBe('refuse');
  });

  it('stays full once it is stopped, and is idle when all is released', async () => {
    const intake = new Intake();
    const room = vi.fn();
    await intake.idle();
    intake.admit(request(1), 1);
    intake.onceRoom(room);
    intake.stop();
    expect(intake.full).toBe(true);
    const idle = intake.idle();
    intake.release(1);
    await idle;
    expect(intake.full).toBe(true);
    expect(room).not.toHaveBeenCalled();
  });
});
