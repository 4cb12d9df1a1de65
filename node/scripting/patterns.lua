-- The pattern matching of Lua 5.1, in Lua: each step of it is counted, unlike those of the one
-- written in C, which some patterns keep busy for ever. Used where that could happen.
local byte, sub, find, lower = string.byte, string.sub, string.find, string.lower
local insert_captures

local ESC, MAX_CAPTURES = 37, 32
local classes = {}
for letter in string.gmatch("acdlpsuwxz", ".") do
  classes[byte(letter)] = "^%" .. letter
end

local function is_class(c, class)
  local known = classes[byte(lower(string.char(class)))]
  if not known then
    return c == class
  end
  local is_in = find(string.char(c), known) ~= nil
  if class >= 65 and class <= 90 then
    return not is_in
  end
  return is_in
end

local function class_end(p, at)
  local c = byte(p, at)
  at = at + 1
  if c == ESC then
    if at > #p then
      error("malformed pattern (ends with '%')", 0)
    end
    return at + 1
  elseif c == 91 then -- [
    if byte(p, at) == 94 then
      at = at + 1
    end
    repeat
      if at > #p then
        error("malformed pattern (missing ']')", 0)
      end
      c = byte(p, at)
      at = at + 1
      if c == ESC and at <= #p then
        at = at + 1
      end
    until byte(p, at) == 93
    return at + 1
  end
  return at
end

-- `at` is at the [, `last` at the ].
local function in_set(c, p, at, last)
  local found = true
  if byte(p, at + 1) == 94 then
    found = false
    at = at + 1
  end
  at = at + 1
  while at < last do
    local one = byte(p, at)
    if one == ESC then
      at = at + 1
      if is_class(c, byte(p, at)) then
        return found
      end
    elseif byte(p, at + 1) == 45 and at + 2 < last then
      if one <= c and c <= byte(p, at + 2) then
        return found
      end
      at = at + 2
    elseif one == c then
      return found
    end
    at = at + 1
  end
  return not found
end

local function is_single(c, p, at, past)
  local one = byte(p, at)
  if one == 46 then
    return true
  elseif one == ESC then
    return is_class(c, byte(p, at + 1))
  elseif one == 91 then
    return in_set(c, p, at, past - 1)
  end
  return one == c
end

local match

local function balanced(s, si, p, at)
  if at + 1 > #p then
    error("unbalanced pattern", 0)
  end
  local open, close = byte(p, at, at + 1)
  if byte(s, si) ~= open then
    return nil
  end
  local depth = 1
  for place = si + 1, #s do
    local c = byte(s, place)
    if c == close then
      depth = depth - 1
      if depth == 0 then
        return place + 1
      end
    elseif c == open then
      depth = depth + 1
    end
  end
  return nil
end

local function expand_most(ms, s, si, p, at, past)
  local count, length = 0, #s
  while si + count <= length and is_single(byte(s, si + count), p, at, past) do
    count = count + 1
  end
  while count >= 0 do
    local found = match(ms, s, si + count, p, past + 1)
    if found then
      return found
    end
    count = count - 1
  end
  return nil
end

local function expand_least(ms, s, si, p, at, past)
  while true do
    local found = match(ms, s, si, p, past + 1)
    if found then
      return found
    elseif si <= #s and is_single(byte(s, si), p, at, past) then
      si = si + 1
    else
      return nil
    end
  end
end

-- Where the match of `p` from `at` on ends in `s` from `si` on (the place behind it), or nil.
function match(ms, s, si, p, at)
  while true do
    if at > #p then
      return si
    end
    local c = byte(p, at)
    if c == 40 then -- (
      local level = ms.level
      if level >= MAX_CAPTURES then
        error("too many captures", 0)
      end
      local is_place = byte(p, at + 1) == 41
      ms.level = level + 1
      ms[level] = { si, is_place and -2 or -1 }
      local found = match(ms, s, si, p, at + (is_place and 2 or 1))
      if not found then
        ms.level = ms.level - 1
      end
      return found
    elseif c == 41 then -- )
      local level
      for one = ms.level - 1, 0, -1 do
        if ms[one][2] == -1 then
          level = one
          break
        end
      end
      if not level then
        error("invalid pattern capture", 0)
      end
      local capture = ms[level]
      capture[2] = si - capture[1]
      local found = match(ms, s, si, p, at + 1)
      if not found then
        capture[2] = -1
      end
      return found
    elseif c == ESC and byte(p, at + 1) == 98 then -- %b
      si = balanced(s, si, p, at + 2)
      if not si then
        return nil
      end
      at = at + 4
    elseif c == ESC and byte(p, at + 1) == 102 then -- %f
      at = at + 2
      if byte(p, at) ~= 91 then
        error("missing '[' after '%f' in pattern", 0)
      end
      local past = class_end(p, at)
      local before = si > 1 and byte(s, si - 1) or 0
      if in_set(before, p, at, past - 1) or not in_set(byte(s, si) or 0, p, at, past - 1) then
        return nil
      end
      at = past
    elseif c == ESC and byte(p, at + 1) and byte(p, at + 1) >= 48 and byte(p, at + 1) <= 57 then
      local capture = ms[byte(p, at + 1) - 49]
      if byte(p, at + 1) - 49 >= ms.level or not capture or capture[2] == -1 then
        error("invalid capture index", 0)
      end
      if capture[2] == -2 then -- A place, which nothing is equal to.
        return nil
      end
      local text = sub(s, capture[1], capture[1] + capture[2] - 1)
      ms.charge(#text / 16)
      if sub(s, si, si + #text - 1) ~= text then
        return nil
      end
      si = si + #text
      at = at + 2
    elseif c == 36 and at == #p then -- $
      return si == #s + 1 and si or nil
    else
      local past = class_end(p, at)
      local suffix = byte(p, past)
      local fits = si <= #s and is_single(byte(s, si), p, at, past)
      if suffix == 63 then -- ?
        if fits then
          local found = match(ms, s, si + 1, p, past + 1)
          if found then
            return found
          end
        end
        at = past + 1
      elseif suffix == 42 then -- *
        return expand_most(ms, s, si, p, at, past)
      elseif suffix == 43 then -- +
        return fits and expand_most(ms, s, si + 1, p, at, past) or nil
      elseif suffix == 45 then -- -
        return expand_least(ms, s, si, p, at, past)
      elseif not fits then
        return nil
      else
        si = si + 1
        at = past
      end
    end
  end
end

local function capture_of(ms, number, s, first, past)
  if number >= ms.level then
    if number == 0 then
      ms.charge((past - first) / 16)
      return sub(s, first, past - 1)
    end
    error("invalid capture index", 0)
  end
  local start, length = ms[number][1], ms[number][2]
  if length == -1 then
    error("unfinished capture", 0)
  elseif length == -2 then
    return start
  end
  ms.charge(length / 16)
  return sub(s, start, start + length - 1)
end

-- A list of what was captured (the whole match if `is_whole` and nothing was), and its length.
local function captures_of(ms, s, first, past, is_whole)
  local count = (ms.level == 0 and is_whole) and 1 or ms.level
  local list = {}
  for number = 0, count - 1 do
    list[number + 1] = capture_of(ms, number, s, first, past)
  end
  return list, count
end

local patterns = {}

-- The first match at or after `init`: its place, that behind it, and the state of the captures.
function patterns.search(s, p, init, charge)
  local at = 1
  local is_anchored = byte(p, 1) == 94
  if is_anchored then
    at = 2
  end
  local ms = { level = 0, charge = charge }
  for si = init, #s + 1 do
    ms.level = 0
    local past = match(ms, s, si, p, at)
    if past then
      return si, past, ms
    end
    if is_anchored then
      break
    end
  end
  return nil
end

-- As gmatch has it: no anchor.
function patterns.iterate(s, p, charge)
  local place = 1
  return function()
    local ms = { level = 0, charge = charge }
    for si = place, #s + 1 do
      ms.level = 0
      local past = match(ms, s, si, p, 1)
      if past then
        place = past == si and past + 1 or past
        local list, count = captures_of(ms, s, si, past, true)
        return unpack(list, 1, count)
      end
    end
    place = #s + 2
    return nil
  end
end

local function replaced(ms, s, first, past, repl, kind)
  local value
  if kind == "function" then
    local list, count = captures_of(ms, s, first, past, true)
    value = repl(unpack(list, 1, count))
  elseif kind == "table" then
    value = repl[capture_of(ms, 0, s, first, past)]
  else
    local parts, count, at = {}, 0, 1
    while true do
      local place = find(repl, "%", at, true)
      if not place then
        break
      end
      parts[count + 1] = sub(repl, at, place - 1)
      local c = byte(repl, place + 1)
      local text
      if not c or c < 48 or c > 57 then
        text = c and string.char(c) or "\0"
      elseif c == 48 then
        text = sub(s, first, past - 1)
      else
        text = capture_of(ms, c - 49, s, first, past)
      end
      ms.charge(#text / 16)
      parts[count + 2] = text
      count = count + 2
      at = place + 2
    end
    parts[count + 1] = sub(repl, at)
    return table.concat(parts)
  end
  if not value then
    return sub(s, first, past - 1)
  end
  local given = type(value)
  if given ~= "string" and given ~= "number" then
    error("invalid replacement value (a " .. given .. ")", 0)
  end
  return value
end

function patterns.gsub(s, p, repl, most, charge)
  local kind = type(repl)
  local at, is_anchored = 1, byte(p, 1) == 94
  if is_anchored then
    at = 2
  end
  local parts, size, count, si, length = {}, 0, 0, 1, #s
  while count < most do
    local ms = { level = 0, charge = charge }
    local past = match(ms, s, si, p, at)
    if past then
      count = count + 1
      local text = replaced(ms, s, si, past, repl, kind)
      charge(#tostring(text) / 16)
      size = size + 1
      parts[size] = text
    end
    if past and past > si then
      si = past
    elseif si <= length then
      size = size + 1
      parts[size] = sub(s, si, si)
      si = si + 1
    else
      break
    end
    if is_anchored then
      break
    end
  end
  parts[size + 1] = sub(s, si)
  return table.concat(parts), count
end

patterns.captures_of = captures_of
return patterns
