/*
 * sandbox_calls: the seccomp filter.
 *
 *   ALLOWED   what decoding needs, whatever the arguments
 *   checked   the same, with the arguments that it needs
 *   FATAL     what only an intruder wants: the process is killed
 *   the rest  EPERM: libraries ask for much that they can do without, and the
 *             next release of one will ask for more
 *
 * A filter sees numbers, not what pointers point to: which file is opened is
 * Landlock's business; here it is only opened for reading.
 */
#include "proc/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <seccomp.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define NOT_READING  (O_ACCMODE | O_CREAT | O_TRUNC | (O_TMPFILE & ~O_DIRECTORY))

/* clang-format off */
static const int ALLOWED[] = {
    /* files: by descriptor, and what they are */
    SCMP_SYS(read), SCMP_SYS(readv), SCMP_SYS(pread64), SCMP_SYS(preadv),
    SCMP_SYS(lseek), SCMP_SYS(_llseek), SCMP_SYS(close), SCMP_SYS(dup),
    SCMP_SYS(stat), SCMP_SYS(lstat), SCMP_SYS(fstat), SCMP_SYS(newfstatat),
    SCMP_SYS(statx), SCMP_SYS(stat64), SCMP_SYS(lstat64), SCMP_SYS(fstat64),
    SCMP_SYS(fstatat64), SCMP_SYS(fstatfs), SCMP_SYS(access),
    SCMP_SYS(faccessat), SCMP_SYS(faccessat2), SCMP_SYS(readlink),
    SCMP_SYS(readlinkat), SCMP_SYS(getcwd), SCMP_SYS(getdents64),
    SCMP_SYS(fadvise64), SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(select),
    SCMP_SYS(pselect6), SCMP_SYS(_newselect), SCMP_SYS(ppoll_time64),
    SCMP_SYS(pselect6_time64),
    /* memory */
    SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise),
    SCMP_SYS(mincore), SCMP_SYS(msync),
    /* threads */
    SCMP_SYS(futex), SCMP_SYS(futex_waitv), SCMP_SYS(futex_time64),
    SCMP_SYS(set_robust_list), SCMP_SYS(get_robust_list), SCMP_SYS(rseq),
    SCMP_SYS(gettid), SCMP_SYS(getpid), SCMP_SYS(sched_yield),
    SCMP_SYS(sched_getaffinity), SCMP_SYS(getcpu), SCMP_SYS(exit),
    SCMP_SYS(exit_group), SCMP_SYS(set_tid_address), SCMP_SYS(membarrier),
    /* signals to itself */
    SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sigreturn), SCMP_SYS(sigaltstack), SCMP_SYS(restart_syscall),
    /* time and chance */
    SCMP_SYS(clock_gettime), SCMP_SYS(clock_gettime64), SCMP_SYS(clock_getres),
    SCMP_SYS(clock_nanosleep), SCMP_SYS(clock_nanosleep_time64),
    SCMP_SYS(nanosleep), SCMP_SYS(gettimeofday), SCMP_SYS(time),
    SCMP_SYS(getrandom),
    /* who and where we are */
    SCMP_SYS(uname), SCMP_SYS(sysinfo), SCMP_SYS(getrusage), SCMP_SYS(times),
    SCMP_SYS(getuid), SCMP_SYS(geteuid), SCMP_SYS(getgid), SCMP_SYS(getegid),
    SCMP_SYS(getppid),
};

/* With a URL: clients of TCP and UDP. */
static const int NETWORK[] = {
    SCMP_SYS(connect), SCMP_SYS(sendto), SCMP_SYS(sendmsg), SCMP_SYS(sendmmsg),
    SCMP_SYS(recvfrom), SCMP_SYS(recvmsg), SCMP_SYS(recvmmsg),
    SCMP_SYS(send), SCMP_SYS(recv), SCMP_SYS(shutdown), SCMP_SYS(getsockopt),
    SCMP_SYS(setsockopt), SCMP_SYS(getsockname), SCMP_SYS(getpeername),
};

static const int FATAL[] = {
    /* another program, another process */
    SCMP_SYS(execve), SCMP_SYS(execveat), SCMP_SYS(fork), SCMP_SYS(vfork),
    SCMP_SYS(ptrace), SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev),
    SCMP_SYS(process_madvise), SCMP_SYS(kcmp), SCMP_SYS(pidfd_open),
    SCMP_SYS(pidfd_getfd), SCMP_SYS(pidfd_send_signal), SCMP_SYS(tkill),
    SCMP_SYS(rt_sigqueueinfo), SCMP_SYS(rt_tgsigqueueinfo), SCMP_SYS(setns),
    SCMP_SYS(unshare),
    /* the file system's shape */
    SCMP_SYS(mount), SCMP_SYS(umount), SCMP_SYS(umount2), SCMP_SYS(pivot_root),
    SCMP_SYS(chroot), SCMP_SYS(open_tree), SCMP_SYS(move_mount),
    SCMP_SYS(fsopen), SCMP_SYS(fsconfig), SCMP_SYS(fsmount), SCMP_SYS(fspick),
    SCMP_SYS(mount_setattr), SCMP_SYS(name_to_handle_at),
    SCMP_SYS(open_by_handle_at), SCMP_SYS(quotactl), SCMP_SYS(swapon),
    SCMP_SYS(swapoff), SCMP_SYS(acct),
    /* the kernel's insides */
    SCMP_SYS(bpf), SCMP_SYS(perf_event_open), SCMP_SYS(userfaultfd),
    SCMP_SYS(io_uring_setup), SCMP_SYS(io_uring_enter),
    SCMP_SYS(io_uring_register), SCMP_SYS(add_key), SCMP_SYS(request_key),
    SCMP_SYS(keyctl), SCMP_SYS(init_module), SCMP_SYS(finit_module),
    SCMP_SYS(delete_module), SCMP_SYS(kexec_load), SCMP_SYS(kexec_file_load),
    SCMP_SYS(reboot), SCMP_SYS(syslog), SCMP_SYS(iopl), SCMP_SYS(ioperm),
    SCMP_SYS(modify_ldt), SCMP_SYS(settimeofday), SCMP_SYS(clock_settime),
    SCMP_SYS(sethostname), SCMP_SYS(setdomainname),
};
/* clang-format on */

#define KILL       SCMP_ACT_KILL_PROCESS
#define ARG0_IS(x) SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)(x))
#define ARG1_IS(x) SCMP_A1(SCMP_CMP_EQ, (scmp_datum_t)(x))

/* One filter under construction: the first rule that fails is kept. */
struct filter {
    scmp_filter_ctx context;
    int rc;
};

/* Calls that this machine or kernel does not have are no error. */
static void add_all(struct filter *filter, uint32_t action, const int *calls,
                    size_t count)
{
    for (size_t i = 0; i < count && filter->rc == 0; i++)
        filter->rc = seccomp_rule_add(filter->context, action, calls[i], 0);
}

static void add_if(struct filter *filter, uint32_t action, int call,
                   struct scmp_arg_cmp condition)
{
    if (filter->rc == 0)
        filter->rc =
            seccomp_rule_add(filter->context, action, call, 1, condition);
}

static void add_if_both(struct filter *filter, int call, struct scmp_arg_cmp a,
                        struct scmp_arg_cmp b)
{
    if (filter->rc == 0)
        filter->rc =
            seccomp_rule_add(filter->context, SCMP_ACT_ALLOW, call, 2, a, b);
}

/* Opened for reading, written only to standard output and error. */
static void add_files(struct filter *filter, int grows)
{
    static const int COMMANDS[] = { F_GETFD, F_SETFD,        F_GETFL,
                                    F_SETFL, F_OFD_SETLK,    F_OFD_GETLK,
                                    F_DUPFD, F_DUPFD_CLOEXEC };
    /* Is it a terminal; how much is there; do not block. */
    static const unsigned long QUESTIONS[] = { TCGETS, FIONREAD, FIONBIO };
    const uint32_t allow = SCMP_ACT_ALLOW;

    add_if(filter, allow, SCMP_SYS(open),
           SCMP_A1(SCMP_CMP_MASKED_EQ, NOT_READING, O_RDONLY));
    add_if(filter, allow, SCMP_SYS(openat),
           SCMP_A2(SCMP_CMP_MASKED_EQ, NOT_READING, O_RDONLY));
    for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO; fd++) {
        add_if(filter, allow, SCMP_SYS(write), ARG0_IS(fd));
        add_if(filter, allow, SCMP_SYS(writev), ARG0_IS(fd));
    }
    for (size_t i = 0; i < COUNT(COMMANDS); i++) {
        add_if(filter, allow, SCMP_SYS(fcntl), ARG1_IS(COMMANDS[i]));
        add_if(filter, allow, SCMP_SYS(fcntl64), ARG1_IS(COMMANDS[i]));
    }
    for (size_t i = 0; i < COUNT(QUESTIONS); i++)
        add_if(filter, allow, SCMP_SYS(ioctl), ARG1_IS(QUESTIONS[i]));
    if (grows < 0)
        return;
    /* Never made shorter: who has it mapped would get a SIGBUS. */
    add_if_both(filter, SCMP_SYS(fallocate), ARG0_IS(grows), ARG1_IS(0));
    add_if(filter, allow, SCMP_SYS(pwrite64), ARG0_IS(grows));
}

/* Threads but no processes; signals to nobody else. */
static void add_process(struct filter *filter)
{
    const pid_t self = getpid();

    add_if(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone),
           SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
    add_if(filter, KILL, SCMP_SYS(clone),
           SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
    /* Its flags lie in memory.  Where it does not exist glibc uses clone. */
    if (filter->rc == 0)
        filter->rc = seccomp_rule_add(filter->context, SCMP_ACT_ERRNO(ENOSYS),
                                      SCMP_SYS(clone3), 0);
    add_if(filter, SCMP_ACT_ALLOW, SCMP_SYS(kill), ARG0_IS(self));
    add_if(filter, KILL, SCMP_SYS(kill),
           SCMP_A0(SCMP_CMP_NE, (scmp_datum_t)self));
    add_if(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), ARG0_IS(self));
    add_if(filter, KILL, SCMP_SYS(tgkill),
           SCMP_A0(SCMP_CMP_NE, (scmp_datum_t)self));
    add_if(filter, SCMP_ACT_ALLOW, SCMP_SYS(prctl), ARG0_IS(PR_SET_NAME));
    add_if(filter, SCMP_ACT_ALLOW, SCMP_SYS(prctl), ARG0_IS(PR_GET_NAME));
    /* Limits are asked for, not set. */
    add_if_both(filter, SCMP_SYS(prlimit64), ARG0_IS(0),
                SCMP_A2(SCMP_CMP_EQ, 0));
}

/* Memory is written or executed.  Resolving names loads libraries. */
static void add_memory(struct filter *filter, bool has_network)
{
    static const int CALLS[] = { SCMP_SYS(mmap), SCMP_SYS(mmap2),
                                 SCMP_SYS(mprotect) };

    if (has_network)
        add_all(filter, SCMP_ACT_ALLOW, CALLS, COUNT(CALLS));
    for (size_t i = 0; i < COUNT(CALLS) && !has_network; i++)
        add_if(filter, SCMP_ACT_ALLOW, CALLS[i],
               SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
}

/* Libraries look for daemons of this machine (nscd) and do without. */
static void add_sockets(struct filter *filter, bool has_network)
{
    const int call = SCMP_SYS(socket);

    if (has_network) {
        add_all(filter, SCMP_ACT_ALLOW, NETWORK, COUNT(NETWORK));
        add_if(filter, SCMP_ACT_ALLOW, call, ARG0_IS(AF_INET));
        add_if(filter, SCMP_ACT_ALLOW, call, ARG0_IS(AF_INET6));
    } else {
        add_if(filter, KILL, call, SCMP_A0(SCMP_CMP_NE, AF_UNIX));
    }
}

static void build(struct filter *filter, const struct sandbox *sandbox)
{
    /* Another machine's calls (i386, x32) have other numbers. */
    filter->rc = seccomp_attr_set(filter->context, SCMP_FLTATR_ACT_BADARCH,
                                  SCMP_ACT_KILL_PROCESS);
    if (filter->rc == 0)
        filter->rc =
            seccomp_attr_set(filter->context, SCMP_FLTATR_CTL_TSYNC, 1);
    add_all(filter, SCMP_ACT_ALLOW, ALLOWED, COUNT(ALLOWED));
    add_all(filter, KILL, FATAL, COUNT(FATAL));
    add_files(filter, sandbox->grows);
    add_process(filter);
    add_memory(filter, sandbox->has_network);
    add_sockets(filter, sandbox->has_network);
}

int sandbox_lock_calls(const struct sandbox *sandbox, struct err *err)
{
    struct filter filter = { seccomp_init(SCMP_ACT_ERRNO(EPERM)), 0 };

    if (filter.context == NULL)
        return err_set(err, ERR_SYSTEM, "half a sandbox: no memory for it");
    build(&filter, sandbox);
    if (filter.rc == 0)
        filter.rc = seccomp_load(filter.context);
    seccomp_release(filter.context);
    if (filter.rc == 0)
        return 0;
    errno = -filter.rc;
    return err_errno(err, ERR_SYSTEM,
                     "half a sandbox, programs can be started and the network "
                     "used: seccomp");
}
