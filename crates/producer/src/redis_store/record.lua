-- One call: counts some page views, publishes their events, and keeps the statistics.
-- With more keys than the first thirteen it also brings up to date what costs more: the
-- lists, the number of visitors, and what has left its window.
--
-- KEYS, spelled by names.rs: see the locals below. Of each window's 29 minutes that may
-- have just left it come first those of the pages, then those of the referrers, then 30
-- buckets of visitors.
-- ARGV: now (Unix milliseconds), the channel, how many views, their events, their
-- visitors; how many pages, each with its views; how many referrers, each with its views.

local stats, state, total, batch, views = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local visitors, day_visitors, day_views = KEYS[6], KEYS[7], KEYS[8]
local pages, referrers = KEYS[9], KEYS[10]
local minute_pages, minute_referrers, bucket = KEYS[11], KEYS[12], KEYS[13]
local FIRST_LEFT, LEFT_MINUTES, BUCKETS = 14, 29, 30

local REFRESH_MS = 250           -- the costly figures are made at most this often
local PRESENT_MS = 300000        -- a visitor is here for this long after a view
local EXACT_VISITORS = 100000    -- above this they are estimated, 0.8 % off at most times
local NAMES_PER_MINUTE = 1000    -- new pages, and new referrers, that a minute lets in
local TOP = 10

-- Lifetimes in seconds. Each is longer than anything reads what it is about.
local WINDOW_TTL, PRESENT_TTL, DAY_TTL, BATCH_TTL = 7200, 600, 172800, 60
-- Whoever records refreshes each second: a document that is older is nobody's any more.
local STATS_TTL = 60

local now, channel, count = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3])
local second = math.floor(now / 1000)
local minute = math.floor(second / 60)

-- A key of another kind would stop the script half-way, and Redis takes nothing back.
local kinds = { 'hash', 'hash', 'string', 'string', 'hash', 'zset', 'string', 'string',
  'zset', 'zset', 'hash', 'hash', 'string' }
for i, kind in ipairs(kinds) do
  local found = redis.call('TYPE', KEYS[i]).ok
  if found ~= 'none' and found ~= kind then
    return redis.error_reply('WRONGTYPE ' .. KEYS[i] .. ' holds a ' .. found .. ', not a ' .. kind)
  end
end

-- Adds what follows ARGV[at] to a window and to its present minute. A minute that has let
-- in many new names lets in no more of them, or a flood of made-up paths would fill the
-- memory; names that the window knows always count. Returns where the next list is.
local function add(window, of_minute, at)
  local last = at + 2 * tonumber(ARGV[at])
  for i = at + 1, last, 2 do
    local name, number = ARGV[i], ARGV[i + 1]
    if redis.call('HLEN', of_minute) < NAMES_PER_MINUTE or redis.call('ZSCORE', window, name) then
      redis.call('HINCRBY', of_minute, name, number)
      redis.call('ZINCRBY', window, number, name)
    end
  end
  if last > at then
    redis.call('EXPIRE', of_minute, WINDOW_TTL)
    redis.call('EXPIRE', window, WINDOW_TTL)
  end
  return last + 1
end

local function count_visitors()
  local first, last = 4 + count, 3 + 2 * count
  redis.call('PFADD', day_visitors, unpack(ARGV, first, last))
  redis.call('PFADD', bucket, unpack(ARGV, first, last))
  redis.call('EXPIRE', day_visitors, DAY_TTL)
  redis.call('EXPIRE', bucket, PRESENT_TTL)
  if redis.call('ZCARD', visitors) >= EXACT_VISITORS then
    redis.call('HSET', state, 'crowded', now)
    return
  end
  for i = first, last do
    redis.call('ZADD', visitors, now, ARGV[i])
  end
  redis.call('EXPIRE', visitors, PRESENT_TTL)
end

-- Takes the minutes out of a window that have left it since minute `rolled`.
local function roll(window, first_key, rolled)
  for i = 0, LEFT_MINUTES - 1 do
    -- What was outside of the window then was taken out then.
    if minute - 58 + i > rolled - 30 then
      local names = redis.call('HGETALL', KEYS[first_key + i])
      for j = 1, #names, 2 do
        redis.call('ZINCRBY', window, -names[j + 1], names[j])
      end
      redis.call('DEL', KEYS[first_key + i])
    end
  end
  redis.call('ZREMRANGEBYSCORE', window, '-inf', 0)
end

-- A window can't be made right again without the minute for which it was, and need not
-- be where all that it tells of is gone.
local rolled = tonumber(redis.call('HGET', state, 'minute'))
if not rolled or math.abs(minute - rolled) > LEFT_MINUTES then
  redis.call('DEL', pages, referrers)
  redis.call('HSET', state, 'minute', minute)
  redis.call('EXPIRE', state, WINDOW_TTL)
  rolled = minute
end

local function take_in()
  -- Before anything is counted, because this is what an ACL may refuse.
  for i = 4, 3 + count do
    redis.call('PUBLISH', channel, ARGV[i])
  end
  count_visitors()
  redis.call('INCRBY', total, count)
  redis.call('INCRBY', day_views, count)
  redis.call('EXPIRE', day_views, DAY_TTL)
  redis.call('HINCRBY', views, 's' .. second, count)
  redis.call('HINCRBY', views, 'm' .. minute, count)
  redis.call('EXPIRE', views, WINDOW_TTL)
  local next_list = add(pages, minute_pages, 4 + 2 * count)
  add(referrers, minute_referrers, next_list)
end

if count > 0 then
  -- The same call once more, by somebody who lost the first answer on the way. It is the
  -- first thing written, so a replica and a full Redis say no before anything is done.
  if not redis.call('SET', batch, count, 'NX', 'EX', BATCH_TTL) then
    return 0
  end
  local is_done, failure = pcall(take_in)
  if not is_done then
    -- Or the next attempt would be told that it is counted.
    redis.call('DEL', batch)
    -- What Redis refuses is a table, what Lua itself does not like is a text.
    return type(failure) == 'table' and failure or redis.error_reply('ERR ' .. failure)
  end
end

redis.call('HSET', stats,
  'total_events', redis.call('GET', total) or 0,
  'events_today', redis.call('GET', day_views) or 0,
  'timestamp', second)
redis.call('EXPIRE', stats, STATS_TTL)

if #KEYS < FIRST_LEFT then
  return count
end
local refreshed = tonumber(redis.call('HGET', state, 'refreshed'))
-- A clock that was set back must not stop the figures until it has caught up.
if refreshed and now >= refreshed and now - refreshed < REFRESH_MS then
  return count
end

-- The first names of a window, as a JSON array; numbers are whole.
local function top(window, label)
  local listed = redis.call('ZREVRANGE', window, 0, TOP - 1, 'WITHSCORES')
  local rows = {}
  for i = 1, #listed, 2 do
    -- The slashes of a path need no escape, whatever the encoder thinks.
    local name = string.gsub(cjson.encode(listed[i]), '\\/', '/')
    rows[#rows + 1] = '{"' .. label .. '":' .. name .. ',"views":' .. listed[i + 1] .. '}'
  end
  return '[' .. table.concat(rows, ',') .. ']'
end

-- The views of the last 60 seconds, and those of each of the last 30 minutes; forgets
-- older ones.
local function over_time()
  local last_minute, row, old = 0, {}, {}
  for i = 1, 30 do
    row[i] = 0
  end
  local counted = redis.call('HGETALL', views)
  for i = 1, #counted, 2 do
    local unit, moment = string.sub(counted[i], 1, 1), tonumber(string.sub(counted[i], 2))
    if unit == 's' and moment > second - 60 then
      last_minute = last_minute + counted[i + 1]
    elseif unit == 'm' and moment > minute - 30 then
      local place = moment - minute + 30
      -- A collector whose clock is ahead has counted for minutes that are to come.
      if place <= 30 then
        row[place] = counted[i + 1]
      end
    else
      old[#old + 1] = counted[i]
    end
  end
  if #old > 0 then
    redis.call('HDEL', views, unpack(old))
  end
  return last_minute, '[' .. table.concat(row, ',') .. ']'
end

-- How many visitors were here in the last five minutes: exactly, or estimated while there
-- are, or were within that time, more than are kept one by one.
local function present()
  redis.call('ZREMRANGEBYSCORE', visitors, '-inf', now - PRESENT_MS)
  local crowded = tonumber(redis.call('HGET', state, 'crowded'))
  if not crowded or now - crowded >= PRESENT_MS then
    return redis.call('ZCARD', visitors)
  end
  local first = FIRST_LEFT + 2 * LEFT_MINUTES
  local buckets = {}
  for i = first, first + BUCKETS - 1 do
    buckets[#buckets + 1] = KEYS[i]
  end
  return redis.call('PFCOUNT', unpack(buckets))
end

-- Another collector may be a minute ahead; then there is nothing left to take out.
if minute > rolled then
  roll(pages, FIRST_LEFT, rolled)
  roll(referrers, FIRST_LEFT + LEFT_MINUTES, rolled)
  rolled = minute
end
local last_minute, row = over_time()
redis.call('HSET', state, 'refreshed', now, 'minute', rolled)
redis.call('EXPIRE', state, WINDOW_TTL)
-- Twice: a gateway may say under the first name how many connections it has.
local here = present()
redis.call('HSET', stats,
  'current_visitors', here,
  'visitors_last_5_minutes', here,
  'unique_today', redis.call('PFCOUNT', day_visitors),
  'views_last_minute', last_minute,
  'last_30_minutes', row,
  'top_pages', top(pages, 'path'),
  'top_referrers', top(referrers, 'referrer'))
return count
